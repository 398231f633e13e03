"""The systems of Siriwardhana et al. 2020 with small random encoders, end to end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from benchmarks.tiny_converted import save_speech_bert
from data_modules.batch import collate
from sermm.compose import load_config
from tests.data_modules import csd_tree
from tests.sermm.tasks.tiny import random_samples, tiny_config, tiny_task
from tests.sermm.workplace import Said, Workplace, read_json, read_table

SMALL = (
    "model.text.name=scratch",
    "model.text.hidden=16",
    "model.text.heads=2",
    "model.text.vocab_size=100",
    "data.batch_size=16",
    "optim.epochs=1",
    "trainer.accelerator=cpu",
    "tracking.wandb=disabled",
)
NAMES = [
    f"siriwardhana_{fusion}_{corpus}"
    for fusion in ("shallow", "coattention")
    for corpus in ("iemocap", "mosei", "mosi")
]


@pytest.fixture(scope="module")
def speech_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_bert(tmp_path_factory.mktemp("speech_bert"))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, small_release: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("releases")
    found = {"iemocap": small_release}
    for corpus in ("mosei", "mosi"):
        # two batches of 16 are two updates
        videos = csd_tree.make_videos(corpus, train=7, val=2, test=2)
        found[corpus] = csd_tree.write_tree(folder / corpus, corpus, videos, recordings=True)
    return found


def run(
    place: Workplace,
    command: str,
    name: str,
    root: Path,
    speech_bert: Path,
    more: Sequence[str] = (),
) -> Said:
    settings = (f"data.root={root}", f"model.speech.name={speech_bert}", *SMALL, *more)
    cache = f"data.cache={place.cache.parent / name.rpartition('_')[2]}"
    said = place.sermm(command, name, cache, *settings)
    assert (said.status, said.err) == (0, ""), said
    return said


@pytest.mark.parametrize("name", NAMES)
def test_each_experiment_trains(
    place: Workplace, releases: dict[str, Path], speech_bert: Path, name: str
) -> None:
    run(place, "fit", name, releases[name.rpartition("_")[2]], speech_bert)
    (folder,) = (place.folder / "runs" / name).iterdir()
    metrics = read_json(folder / "metrics.json")
    rows = read_table(folder / "predictions.csv")
    assert len(rows) == metrics["num_test"] > 0
    assert metrics["num_train"] > 16
    if name.endswith("iemocap"):
        assert (metrics["num_train"], metrics["num_val"], metrics["num_test"]) == (48, 16, 16)
        assert {"p_angry", "true_angry", "predicted_angry"} <= rows[0].keys()
        assert all(sum(float(row[f"true_{c}"]) for c in metrics["classes"]) == 1 for row in rows)
        assert {"acc_sad", "wf1_sad"} <= metrics["metrics"].keys()
    else:
        assert {"mae", "pearson_r", "acc2_has0", "acc2_non0", "f1_non0", "acc7"} <= (
            metrics["metrics"].keys()
        )


def test_always_absent_stands_beside_one_versus_rest(
    place: Workplace, releases: dict[str, Path], speech_bert: Path
) -> None:
    name = "siriwardhana_shallow_iemocap"
    run(place, "experiment", name, releases["iemocap"], speech_bert)
    summary = read_json(place.folder / "runs" / name / "summary.json")
    absent = summary["trivial"]["never"]
    for label in summary["classes"]:
        # 4 of 16 test utterances are of each class
        assert absent[f"acc_{label}"]["mean"] == pytest.approx(0.75)
        # F1 of absence is 2 * 12 / (2 * 12 + 4), weighted by 12 of 16
        assert absent[f"wf1_{label}"]["mean"] == pytest.approx(0.75 * 24 / 28)


@pytest.mark.parametrize(
    "more",
    [
        ("model.head=softmax", "data.protocol=iemocap4-session5"),
        ("model.task=acoustic",),
        ("model.task=text",),
        ("model.speech.frozen=true", "model.text.frozen=true"),
    ],
    ids=["classes and five folds", "speech alone", "text alone", "frozen"],
)
def test_ablations(
    place: Workplace, releases: dict[str, Path], speech_bert: Path, more: tuple[str, ...]
) -> None:
    name = "siriwardhana_shallow_iemocap"
    run(place, "fit", name, releases["iemocap"], speech_bert, more)


def test_attention_reaches_the_head() -> None:
    config = tiny_config("fusion by coattention")
    task = tiny_task(config).eval()
    batch = collate(random_samples(config, [(6, 4), (11, 5)]))
    scores = task(batch)
    for direction in (task.coattention.text_to_speech, task.coattention.speech_to_text):
        kept = {name: value.clone() for name, value in direction.state_dict().items()}
        for parameter in direction.attention.out_proj.parameters():
            torch.nn.init.zeros_(parameter)
        assert not torch.allclose(task(batch), scores)
        direction.load_state_dict(kept)
    assert torch.equal(task(batch), scores)


def test_coattention_needs_both_modalities(place: Workplace, releases: dict[str, Path]) -> None:
    said = place.sermm(
        "fit",
        "siriwardhana_coattention_iemocap",
        f"data.root={releases['iemocap']}",
        "model.modality_dropout=0.3",
    )
    assert said.status == 2
    assert "model.modality_dropout: expected 0 with model.alignment=coattention" in said.err
    assert said.err.count("\n") == 1


def test_one_versus_rest_needs_classes(place: Workplace, releases: dict[str, Path]) -> None:
    said = place.sermm(
        "fit",
        "siriwardhana_shallow_mosi",
        f"data.root={releases['mosi']}",
        "model.head=one_vs_rest",
    )
    assert said.status == 2
    assert "model.head: expected softmax where utterances have no class" in said.err


def test_optimiser_is_that_of_the_paper() -> None:
    config = load_config("siriwardhana_coattention_iemocap")
    optim = config.optim
    assert (optim.lr, optim.beta2, optim.epsilon, optim.weight_decay) == (1e-5, 0.98, 1e-6, 0.1)
    assert (optim.schedule, optim.warmup_share, optim.gradient_clip) == ("linear", 0.06, 0)
    assert (config.data.batch_size, optim.epochs, optim.class_weights) == (16, 10, False)
