"""From a run of another experiment to the first weights of this one's speech encoder."""

from __future__ import annotations

from collections.abc import Sequence

from sermm.build_checkpoint import load_task
from sermm.config import Config
from sermm.earlier_runs import START_KEY, expect_unseen, find_start
from sermm.tasks.acoustic import AcousticTask
from sermm.tasks.base import EmotionTask
from sermm.tasks.pretrain import PretrainTask


def start_weights(task: EmotionTask, config: Config, test: Sequence[str]) -> None:
    """Give a task's encoder the weights and the standardisation of its pre-training.

    Args:
        task: Untrained.
        config: Of the run.
        test: Ids of its test part, which the pre-training must not have heard.

    Raises:
        ConfigError: As :func:`find_start`.
        LeakError: It may have heard them.
        ModelError: Its checkpoint cannot be read.
    """
    earlier = find_start(config)
    if earlier is None:
        return
    expect_unseen(earlier, test, key=START_KEY)
    pretrained, _, _ = load_task(earlier.checkpoint)
    assert isinstance(task, AcousticTask)
    assert isinstance(pretrained, PretrainTask)
    task.encoder.load_state_dict(pretrained.encoder.state_dict())
