"""What the manifest knows of the test utterances of an experiment: lengths, gender, texts, audio.

Run folders hold predictions alone. The rest is looked up where the runs read it, in ``data.cache``
of their configuration; if that is gone, or is no longer what the runs read, whoever asks is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_modules.align import choose_words
from data_modules.errors import DataError
from data_modules.manifest import Utterance
from data_modules.prepared import Prepared
from sermm.config import needs_word_times


@dataclass(frozen=True, eq=False)
class Facts:
    """The utterances of an experiment.

    Attributes:
        prepared: Their corpus.
        utterances: By id.
        sources: Who timed the words that the model read, by id; empty where it reads none.
    """

    prepared: Prepared
    utterances: Mapping[str, Utterance]
    sources: Mapping[str, str]


def read_facts(run: Path, data_sha256: str) -> Facts:
    """Look up what a run has read.

    Args:
        run: Folder of a run, whose ``config.yaml`` says where the corpus is prepared.
        data_sha256: What the data must be.

    Raises:
        SermmError: The corpus is not there as the run read it.
    """
    from sermm.compose import load_config
    from sermm.stages import hash_of_data, load_ready, make_selection

    config = load_config(str(run / "config.yaml"), [])
    prepared = load_ready(config)
    selection = make_selection(config, prepared)
    if hash_of_data(config, prepared, selection) != data_sha256:
        raise DataError(
            Path(config.data.cache) / "manifests" / f"{config.data.corpus}.jsonl",
            expected="the data that the runs have read",
            got="others",
            fix="run the experiment again on the data as it is now, under another name",
        )
    sources = {}
    if needs_word_times(config):
        for name, utterance in selection.utterances.items():
            sources[name] = choose_words(utterance, config.data.aligners)[1]
    return Facts(prepared, selection.utterances, sources)
