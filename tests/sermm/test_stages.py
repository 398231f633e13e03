from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.aligners import ALIGNERS
from data_modules.errors import AlignmentError, DataError
from data_modules.manifest import Utterance, Word
from data_modules.prepare import Prepared
from sermm.compose import load_config
from sermm.config import Config
from sermm.stages import (
    failed_checks,
    hash_of_data,
    load_ready,
    make_ready,
    make_selection,
    uses,
)
from tests.data_modules import iemocap_tree as tree
from tests.sermm.workplace import Workplace

MISSING = "Ses04F_impro01_F000"


def config_of(place: Workplace, task: str, *overrides: str) -> Config:
    name, *settings = place.settings(task, *overrides)
    return load_config(name, settings)


def test_what_each_task_uses(place: Workplace) -> None:
    found = {task: uses(config_of(place, task)) for task in ("linear", "text", "span", "none")}
    assert found == {
        "linear": {"labels", "audio"},
        "text": {"labels", "text"},
        "span": {"labels", "audio", "text", "words"},
        "none": {"labels", "audio", "text"},
    }


def test_a_second_call_does_nothing_again(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(place, "span", f"data.cache={place.folder / 'cache'}")
    first = make_ready(config)
    assert "80 clips" in capsys.readouterr().out

    def never(*args: object, **rest: object) -> None:
        raise AssertionError("this was done before")

    monkeypatch.setattr("data_modules.prepare.scan_media", never)
    monkeypatch.setattr("sermm.extract_stage.extract", never)
    second = make_ready(config)
    assert capsys.readouterr().out == ""
    assert second == first == load_ready(config)


def test_text_alone_needs_no_features(place: Workplace) -> None:
    config = config_of(place, "text", f"data.cache={place.folder / 'cache'}")
    make_ready(config)
    assert not (place.folder / "cache" / "features").exists()


@pytest.fixture
def release(place: Workplace) -> Path:
    """One utterance has no word times."""
    copied = shutil.copytree(place.release, place.folder / "release")
    tree.remove_alignment(copied, MISSING)
    return copied


def places(place: Workplace, release: Path) -> tuple[str, str]:
    return f"data.root={release}", f"data.cache={place.folder / 'cache'}"


def test_missing_word_times_are_refused_or_filled_in_as_asked(
    place: Workplace, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AlignmentError, match=f"{MISSING}: expected word times from corpus"):
        make_ready(config_of(place, "span", *places(place, release)))
    asked = config_of(place, "span", *places(place, release), "data.aligners=[corpus, uniform]")
    make_ready(asked)
    # equal shares need no program, and are made where they are read
    assert not next(u for u in load_ready(asked).utterances if u.id == MISSING).words
    assert "word times" not in capsys.readouterr().out


def test_an_aligner_is_run_on_what_the_corpus_lacks(
    place: Workplace,
    release: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    class Quick:
        """Half of the clip for each of the first two words."""

        guessed: tuple[str, ...] = ()

        def align(self, waveform: object, words: list[str]) -> list[Word]:
            asked.append(list(words))
            return [
                Word(w, 0.1 * k, 0.1 * k + 0.1, "pocketsphinx") for k, w in enumerate(words[:2])
            ]

    monkeypatch.setitem(ALIGNERS, "pocketsphinx", Quick)
    sources = "data.aligners=[corpus, pocketsphinx]"
    config = config_of(place, "span", *places(place, release), sources)
    prepared = make_ready(config)
    assert len(asked) == 1
    assert len(asked[0]) > 2
    said = capsys.readouterr().out
    assert "word times: 2 pocketsphinx" in said
    assert "interpolated" in said
    assert "in 1 utterances" in said
    done = next(u for u in prepared.utterances if u.id == MISSING)
    assert {word.source for word in done.words} == {"pocketsphinx"}
    # kept in the manifest: a second call runs nothing
    make_ready(config)
    assert len(asked) == 1
    assert capsys.readouterr().out == ""


def test_what_an_aligner_cannot_do_is_told(
    place: Workplace,
    release: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Deaf:
        guessed: tuple[str, ...] = ()

        def align(self, waveform: object, words: list[str]) -> None:
            return None

    monkeypatch.setitem(ALIGNERS, "pocketsphinx", Deaf)
    sources = "data.aligners=[corpus, pocketsphinx]"
    with pytest.raises(AlignmentError, match=MISSING):
        make_ready(config_of(place, "span", *places(place, release), sources))
    said = capsys.readouterr().out
    assert f"pocketsphinx did not find the words of 1 utterances: {MISSING}" in said


def test_failed_checks_stop_what_they_concern(place: Workplace) -> None:
    broken = shutil.copytree(place.release, place.folder / "release")
    tree.empty_clip(broken, MISSING)
    with pytest.raises(DataError, match="audio is empty"):
        make_ready(config_of(place, "linear", *places(place, broken)))
    config = config_of(place, "text", *places(place, broken))
    assert failed_checks(config, make_ready(config)) == []
    overruled = config_of(place, "linear", *places(place, broken), "data.allow_failed_checks=true")
    failed = failed_checks(overruled, make_ready(overruled))
    assert [result.name for result in failed] == ["audio files"]


def edited(prepared: Prepared, change: Callable[[Utterance], Utterance]) -> Prepared:
    utterances = [change(u) if u.id == MISSING else u for u in prepared.utterances]
    return replace(prepared, utterances=utterances)


def other_text(utterance: Utterance) -> Utterance:
    return replace(utterance, text=f"{utterance.text} indeed")


def other_times(utterance: Utterance) -> Utterance:
    first, *rest = utterance.words
    return replace(utterance, words=(replace(first, end_s=first.end_s - 0.001), *rest))


def times_of_another_source(utterance: Utterance) -> Utterance:
    return replace(utterance, words=(*utterance.words, Word("x", 0.0, 0.1, "pocketsphinx")))


def other_speaker(utterance: Utterance) -> Utterance:
    return replace(utterance, speaker="Ses04M")


def other_label(utterance: Utterance) -> Utterance:
    return replace(utterance, labels={**utterance.labels, "category": "sad"})


def other_votes(utterance: Utterance) -> Utterance:
    return replace(utterance, labels={**utterance.labels, "votes": {"neu": 9}})


@pytest.mark.parametrize(
    ("change", "tasks"),
    [
        (other_text, {"text", "span", "none"}),
        (other_times, {"span"}),
        (times_of_another_source, set()),
        (other_speaker, {"linear", "text", "span", "none"}),
        (other_label, {"linear", "text", "span", "none"}),
        (other_votes, set()),
    ],
)
def test_the_hash_covers_what_a_task_reads_and_nothing_else(
    place: Workplace, change: Callable[[Utterance], Utterance], tasks: set[str]
) -> None:
    prepared = make_ready(config_of(place, "span"))
    other = edited(prepared, change)
    changed = {
        task
        for task in ("linear", "text", "span", "none")
        for config in [config_of(place, task)]
        if hash_of_data(config, prepared, make_selection(config, prepared))
        != hash_of_data(config, other, make_selection(config, other))
    }
    assert changed == tasks


def test_the_hash_covers_the_audio_and_not_its_place(place: Workplace) -> None:
    config = config_of(place, "linear")
    prepared = make_ready(config)
    text = config_of(place, "text")

    def digest(of: Config, data: Prepared) -> str:
        return hash_of_data(of, data, make_selection(of, data))

    moved = replace(prepared, root=Path("elsewhere"), cache=Path("there"))
    assert digest(config, moved) == digest(config, prepared)
    facts = prepared.media[MISSING]
    other = replace(
        prepared, media=prepared.media | {MISSING: replace(facts, content_sha256="0" * 64)}
    )
    assert digest(config, other) != digest(config, prepared)
    assert digest(text, other) == digest(text, prepared)


def test_the_demo_corpus_makes_itself(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ("data.root=", f"data.cache={place.folder / 'cache'}")
    config = config_of(place, "span", *overrides, "data.demo.utterances_per_speaker=8")
    prepared = make_ready(config)
    assert len(prepared.utterances) == 80
    assert prepared.root == place.folder / "cache" / "demo" / "seed=0"
    assert "80 clips" in capsys.readouterr().out
    # it is there now, and another one does not take its place
    make_ready(config)
    other = config_of(place, "span", *overrides, "data.demo.utterances_per_speaker=9")
    with pytest.raises(DataError, match="expected a demo corpus with"):
        make_ready(other)
