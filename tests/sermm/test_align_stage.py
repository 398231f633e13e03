"""``sermm align`` and what an experiment does about word times, as users type it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data_modules.aligner_record import record_path
from data_modules.corpora import find_corpus
from data_modules.errors import AlignmentError
from data_modules.manifest import Utterance
from data_modules.prepare import load_prepared, prepare
from data_modules.textgrid import Interval, TextGrid, Tier
from sermm.align_stage import align_with_ctc
from sermm.compose import load_config
from sermm.stages import load_ready, make_ready
from tests.data_modules import iemocap_tree as tree
from tests.data_modules.test_textgrid import long_format
from tests.data_modules.tiny_ctc import write_tiny_ctc
from tests.sermm.workplace import Workplace

MISSING = "Ses04F_impro01_F000"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two CTC models of different weights."""
    folder = tmp_path_factory.mktemp("ctc")
    return write_tiny_ctc(folder / "first"), write_tiny_ctc(folder / "second", seed=1)


@pytest.fixture
def ready(place: Workplace) -> Workplace:
    """A cache of its own in which the corpus is prepared."""
    prepare(find_corpus("demo"), place.release, place.folder / "cache")
    return place


def utterances(place: Workplace) -> list[Utterance]:
    return load_prepared(find_corpus("demo"), place.folder / "cache").utterances


def timed(place: Workplace, source: str) -> dict[str, tuple[object, ...]]:
    return {u.id: u.words_from(source) for u in utterances(place) if u.words_from(source)}


def align(place: Workplace, *options: str) -> str:
    said = place.sermm("align", "demo", "--cache", "cache", *options)
    assert (said.status, said.err) == (0, ""), said
    return said.out


def test_ctc_over_a_corpus(ready: Workplace, models: tuple[Path, Path]) -> None:
    first, second = map(str, models)
    said = align(ready, "--aligner", "ctc", "--model", first, "--device", "cpu")
    assert "ctc (" in said
    assert "in 80 utterances" in said
    # "place1" has a digit, which is said as a word
    assert "interpolated" not in said
    words = timed(ready, "ctc")
    assert len(words) == 80
    path = record_path(load_prepared(find_corpus("demo"), ready.folder / "cache"))
    assert json.loads(path.read_text())["ctc"]["name"] == first
    # a second call changes nothing
    assert align(ready, "--aligner", "ctc", "--model", first) == ""
    assert timed(ready, "ctc") == words
    # the words of one model are not those of another
    said = align(ready, "--aligner", "ctc", "--model", second)
    assert "80 utterances had word times of another CTC model" in said
    assert "in 80 utterances" in said
    other = timed(ready, "ctc")
    assert other.keys() == words.keys()
    assert other != words
    assert json.loads(path.read_text())["ctc"]["name"] == second
    # and those of other weights under the same name are not either
    shutil.copy(models[0] / "model.safetensors", models[1] / "model.safetensors")
    assert "80 utterances had" in align(ready, "--aligner", "ctc", "--model", second)
    assert timed(ready, "ctc") == words


def test_an_interrupted_call_goes_on(
    ready: Workplace, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_modules.audio import load_audio

    done = 0

    def stop_in_between(*args: object) -> object:
        nonlocal done
        done += 1
        if done == 30:
            raise KeyboardInterrupt
        return load_audio(*args)  # type: ignore[arg-type]

    options = ("--aligner", "ctc", "--model", str(models[0]), "--device", "cpu")
    with monkeypatch.context() as patch:
        patch.setattr("sermm.align_stage.load_audio", stop_in_between)
        assert ready.sermm("align", "demo", "--cache", "cache", *options).status == 130
    before = timed(ready, "ctc")
    assert len(before) == 29
    assert "in 51 utterances" in align(ready, *options)
    after = timed(ready, "ctc")
    assert len(after) == 80
    assert before.items() <= after.items()


@pytest.mark.slow
def test_several_processes_find_the_same(ready: Workplace, models: tuple[Path, Path]) -> None:
    options = ("--aligner", "ctc", "--model", str(models[0]), "--device", "cpu")
    align(ready, *options, "--workers", "2")
    together = timed(ready, "ctc")
    shutil.rmtree(ready.folder / "cache")
    prepare(find_corpus("demo"), ready.release, ready.folder / "cache")
    align(ready, *options)
    assert timed(ready, "ctc") == together


def test_long_audio_is_told(
    ready: Workplace,
    models: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sermm.align_stage.CHUNK_S", 0.3)
    align_with_ctc(
        load_prepared(find_corpus("demo"), ready.folder / "cache"), str(models[0]), device="cpu"
    )
    assert "utterances longer than 0.3 s are read in overlapping chunks: Ses0" in (
        capsys.readouterr().out
    )


def config_with(place: Workplace, release: Path, *overrides: str) -> list[str]:
    return place.settings(
        "span", f"data.root={release}", f"data.cache={place.folder / 'own'}", *overrides
    )


def test_an_experiment_aligns_what_its_corpus_lacks(
    place: Workplace, models: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    release = Path(shutil.copytree(place.release, place.folder / "release"))
    tree.remove_alignment(release, MISSING)
    name, *settings = config_with(
        place, release, "data.aligners=[corpus,ctc]", f"data.ctc_model={models[0]}"
    )
    config = load_config(name, settings)
    prepared = make_ready(config)
    assert "in 1 utterances" in capsys.readouterr().out
    sources = {u.id: {word.source for word in u.words} for u in prepared.utterances}
    assert sources.pop(MISSING) == {"ctc"}
    assert set(map(tuple, sources.values())) == {("corpus",)}
    assert load_ready(config).utterances == prepared.utterances
    # another experiment takes another model meanwhile: a run of the first notices
    other = load_config(name, [*settings, f"data.ctc_model={models[1]}"])
    make_ready(other)
    with pytest.raises(AlignmentError, match=r"word times of ctc by .*first, got .*second"):
        load_ready(config)


def test_where_the_corpus_has_all_words_no_model_is_asked(place: Workplace) -> None:
    release = Path(shutil.copytree(place.release, place.folder / "release"))
    name, *settings = config_with(
        place, release, "data.aligners=[corpus,ctc]", "data.ctc_model=org/model"
    )
    # the hub cannot be reached here; only what is quick to see would say so
    make_ready_without_inputs(load_config(name, settings))


def make_ready_without_inputs(config: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sermm.stages.check_inputs", lambda config: None)
        make_ready(config)  # type: ignore[arg-type]


def write_grids(place: Workplace, folder: Path, change: Callable[[str], str] = str) -> int:
    """A file for each utterance, by speaker; returns how many."""
    found = utterances(place)
    for u in found:
        words = [
            Interval(word.start_s, word.end_s, word.text.upper()) for word in u.words_from("corpus")
        ]
        grid = TextGrid(0.0, u.duration_s, (Tier("words", tuple(words)),), "utf-8")
        path = folder / str(u.speaker) / f"{u.id}.TextGrid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(change(long_format(grid)))
    return len(found)


def test_textgrids_over_a_corpus(ready: Workplace) -> None:
    folder = ready.folder / "grids"
    assert write_grids(ready, folder) == 80
    (folder / "other.TextGrid").write_text(long_format(TextGrid(0.0, 1.0, (), "utf-8")))
    next(folder.rglob(f"{MISSING}.TextGrid")).unlink()
    said = align(ready, "--aligner", "textgrid", "--textgrids", str(folder))
    assert "textgrid (100.0%) in 79 utterances" in said
    assert f"no TextGrid for 1 utterances: {MISSING}" in said
    assert "no utterance for 1 TextGrids: other.TextGrid" in said
    for u in utterances(ready):
        own, theirs = u.words_from("corpus"), u.words_from("textgrid")
        if u.id != MISSING:
            assert [(w.start_s, w.end_s) for w in own] == [(w.start_s, w.end_s) for w in theirs]


def test_a_textgrid_that_cannot_be_read_changes_nothing(ready: Workplace) -> None:
    folder = ready.folder / "grids"
    write_grids(ready, folder)
    next(folder.rglob(f"{MISSING}.TextGrid")).write_text('"ooTextFile"\n"TextGrid"\n0')
    said = ready.sermm(
        "align", "demo", "--cache", "cache", "--aligner", "textgrid", "--textgrids", str(folder)
    )
    assert said.status == 2
    assert f"{MISSING}.TextGrid:3: expected the end of the grid" in said.err
    assert not timed(ready, "textgrid")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--aligner", "mfa"], "expected one of pocketsphinx, ctc, textgrid, uniform, got mfa"),
        (["--aligner", "corpus"], "corpus times are read by `sermm prepare`"),
        (["--aligner", "ctc"], "--model: expected a CTC model, got nothing"),
        (["--model", "org/model"], "--model: expected --aligner ctc beside it"),
        (["--device", "cpu"], "--device: expected --aligner ctc beside it"),
        (["--tier", "words"], "--tier: expected --aligner textgrid beside it"),
        (["--aligner", "textgrid"], "--textgrids: expected a folder of NAME.TextGrid files, got n"),
        (["--aligner", "textgrid", "--textgrids", "nowhere"], "got nowhere, no folder"),
        (["--aligner", "ctc", "--model", "./nowhere"], "--model=./nowhere: expected the folder of"),
        (["--aligner", "ctc", "--model", "org/model"], "--model=org/model: expected a folder"),
    ],
)
def test_what_cannot_be_asked(place: Workplace, options: list[str], message: str) -> None:
    said = place.sermm("align", "demo", *options)
    assert said.status == 2
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_folder_that_is_no_ctc_model(place: Workplace, models: tuple[Path, Path]) -> None:
    copy = Path(shutil.copytree(models[0], place.folder / "model"))
    (copy / "vocab.json").unlink()
    (copy / "preprocessor_config.json").unlink()
    said = place.sermm("align", "demo", "--aligner", "ctc", "--model", str(copy))
    assert "got no vocab.json, no preprocessor_config.json" in said.err


def test_an_experiment_says_which_model(place: Workplace) -> None:
    said = place.sermm("config", *place.settings("span", "data.aligners=[corpus,ctc]"))
    assert said.status == 2
    assert "data.ctc_model: expected a CTC model" in said.err
    said = place.sermm(
        "fit",
        *place.settings("span", "data.aligners=[ctc]", f"data.ctc_model={place.folder}"),
    )
    assert said.status == 2
    assert "got no config.json, no vocab.json" in said.err
