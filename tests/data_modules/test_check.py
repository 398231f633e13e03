from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from data_modules.check import CHECKS, CheckResult, Survey, check, refuse_failures
from data_modules.corpora import CORPORA
from data_modules.corpora.release import Published
from data_modules.errors import DataError
from data_modules.manifest import Utterance
from data_modules.prepare import prepare
from data_modules.prepared import Prepared
from data_modules.tables import checks_table, counts_table, exclusions_table
from tests.data_modules import iemocap_tree as tree

NAME = "Ses02F_impro01_M001"
OTHER = "Ses04F_impro01_M001"
TURNS = tree.small_turns()
IEMOCAP = CORPORA["iemocap"]
COPY = {"size", "classes", "sessions", "speakers", "shared scripts", "shared texts"}
"""Checks that a copy with 80 of 5,531 turns, all with the same words, cannot pass."""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tree.write_tree(tmp_path / "data", TURNS)


def results_of(release: Path) -> dict[str, CheckResult]:
    found = check(prepare(IEMOCAP, release, release.parent / "cache"))
    assert len({result.name for result in found}) == len(found)
    return {result.name: result for result in found}


def troubles(release: Path) -> dict[str, str]:
    return {
        name: result.status
        for name, result in results_of(release).items()
        if result.status != "pass" and name not in COPY
    }


def render(*tables: Table | None) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    for table in tables:
        if table is not None:
            console.print(table)
    return console.export_text()


def test_a_sound_part_of_a_release_only_differs_in_counts(release: Path) -> None:
    results = results_of(release)
    assert troubles(release) == {}
    kept = sum(turn.label in ("neu", "hap", "exc", "sad", "ang") for turn in TURNS)
    assert results["size"].detail == f"{kept} of 5531 turns in four classes of the release"
    assert {results[name].status for name in COPY} == {"warn"}
    assert results["folds"].detail == (
        "iemocap4-session5: 5 folds, with speakers, sessions, dialogues apart"
    )
    assert results["modalities"].detail == (
        "80 with audio and transcript, 0 with audio alone, 0 with a transcript alone"
    )
    assert "5 of 5 sessions differ: 1: " in results["sessions"].detail


@pytest.mark.parametrize("trap", [tree.remove_clip, tree.empty_clip, tree.truncate_clip])
def test_damaged_audio_fails(release: Path, trap: object) -> None:
    assert callable(trap)
    trap(release, NAME)
    result = results_of(release)["audio files"]
    assert (result.status, result.needs, result.ids) == ("fail", "audio", (NAME,))
    assert str(tree.clip_path(release, NAME)) in result.detail


def test_missing_and_empty_transcripts_fail_for_text(release: Path) -> None:
    tree.drop_transcript(release, NAME)
    tree.empty_transcript(release, OTHER)
    result = results_of(release)["transcripts"]
    assert (result.status, result.needs, result.ids) == ("fail", "text", (NAME, OTHER))
    assert result.detail == "1 missing and 1 empty of 80"


def test_a_label_outside_the_scheme_fails(release: Path) -> None:
    label = next(turn.label for turn in TURNS if turn.name == NAME)
    tree.edit(tree.label_path(release, NAME), f"{NAME}\t{label}", f"{NAME}\tnue")
    result = results_of(release)["labels"]
    assert (result.status, result.needs, result.ids) == ("fail", "labels", (NAME,))
    assert "'nue'" in result.detail


def write_clip(release: Path, name: str, samples: np.ndarray, **form: int) -> None:
    tree.clip_path(release, name).write_bytes(tree.wav_bytes(samples, **form))


def test_silence_clipping_and_length_warn(release: Path) -> None:
    names = [turn.name for turn in TURNS[:5]]
    write_clip(release, names[0], np.zeros(4000, dtype=np.int16))
    loud = np.arange(4000, dtype=np.int16)
    loud[100:103] = 32767
    write_clip(release, names[1], loud)
    peak = np.arange(4001, dtype=np.int16)
    peak[100:102] = -32768
    write_clip(release, names[2], peak)
    write_clip(release, names[3], np.arange(3199, dtype=np.int16))
    write_clip(release, names[4], np.resize(np.arange(4002, dtype=np.int16), 61 * 16_000))
    results = results_of(release)
    assert results["silence"].ids == (names[0],)
    assert results["clipping"].ids == (names[1],)
    assert sorted(results["lengths"].ids) == sorted(names[3:5])
    # the label file says 0.25 s, and tolerates a tenth of a second
    assert results["stated lengths"].ids == (names[4],)
    warned = {"silence": "warn", "clipping": "warn", "lengths": "warn", "stated lengths": "warn"}
    found = troubles(release)
    # words of a clip of 0.1999 s end after it; that remark is no business of this test
    assert {name: found[name] for name in warned} == warned


def test_formats_are_counted(release: Path) -> None:
    samples = np.arange(24_000, dtype=np.int16)
    write_clip(release, NAME, samples, sample_rate=48_000, channels=2)
    result = results_of(release)["formats"]
    assert result.status == "pass"
    assert result.detail == (
        "79 at 16000 Hz, 1 at 48000 Hz; 1 resampled to 16000 Hz, "
        "1 with several channels mixed to one"
    )
    assert result.ids == (NAME,)


def test_equal_audio_is_found_and_speakers_are_told(release: Path) -> None:
    same = "Ses02F_impro01_M002"
    clip = tree.clip_path(release, NAME).read_bytes()
    tree.clip_path(release, same).write_bytes(clip)
    result = results_of(release)["duplicates"]
    assert (result.status, set(result.ids)) == ("warn", {NAME, same})
    assert result.detail == "2 clips with the audio of another"
    tree.clip_path(release, OTHER).write_bytes(clip)
    result = results_of(release)["duplicates"]
    assert result.detail == (
        "3 clips with the audio of another, 3 of them of another speaker, 3 of them in another part"
    )


def test_lines_that_cannot_be_read_warn_and_are_named(release: Path) -> None:
    where = tree.spoil_label_line(release, NAME)
    tree.remove_alignment(release, OTHER)
    results = results_of(release)
    assert results["release files"].ids == (where, NAME)
    assert results["word times"].ids == results["remarks"].ids == (OTHER,)
    assert troubles(release) == {"release files": "warn", "word times": "warn", "remarks": "warn"}


def of(*utterances: Utterance) -> Prepared:
    return Prepared(
        CORPORA["ravdess"], Path("/data"), Path("/cache"), list(utterances), [], {}, [], {}, ""
    )


def test_identities() -> None:
    one = Utterance("a", "ravdess", speaker="01", gender="male", session="1")
    (result,) = (r for r in check(of(one)) if r.name == "identities")
    assert result.status == "pass"
    twin = replace(one, id="b", gender="female", session="2")
    nobody = replace(one, id="c", speaker=None)
    (result,) = (r for r in check(of(one, twin, nobody)) if r.name == "identities")
    assert result.status == "warn"
    assert result.detail == (
        "1 utterance without a speaker; 01 with several genders; 01 with several sessions"
    )
    assert result.ids == ("c", "01", "01")


def test_text_alone_has_no_media_checks() -> None:
    names = {result.name for result in check(of(Utterance("a", "ravdess", text="hi")))}
    assert names.isdisjoint({"audio files", "formats", "silence", "lengths", "duplicates"})


def test_an_experiment_is_refused_for_what_it_uses_alone(release: Path) -> None:
    tree.empty_clip(release, NAME)
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    results = check(prepared)
    refuse_failures(prepared, results, {"text", "labels"})
    with pytest.raises(DataError) as caught:
        refuse_failures(prepared, results, {"audio", "labels"})
    message = str(caught.value)
    assert "\n" not in message
    assert f"audio files of {NAME}" in message
    assert f"{tree.clip_path(release, NAME)}: expected audio, got zero bytes" in message
    assert message.endswith("run `sermm prepare iemocap` again")


def test_every_check_speaks_on_a_release_with_every_defect(release: Path) -> None:
    names = [turn.name for turn in TURNS[::5]]
    traps = [
        tree.remove_clip,
        tree.empty_clip,
        tree.truncate_clip,
        tree.remove_alignment,
        tree.spoil_label_line,
        tree.drop_transcript,
        tree.empty_transcript,
        tree.add_leftovers,
        tree.add_unnumbered_turns,
    ]
    for trap, name in zip(traps, names, strict=False):
        trap(release, name)
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    results = check(prepared)
    # IEMOCAP has no parts of its own
    assert len(results) == len(CHECKS) - 1
    text = render(counts_table(Survey(prepared)), exclusions_table(prepared), checks_table(results))
    for word in (
        "audio is missing",
        "audio is empty",
        "audio is cut short",
        "label line that cannot be read",
        "no word times (.wdseg)",
        "no transcript",
        "leftovers of a file system (._*, .DS_Store)",
        "turns without a number (XX)",
    ):
        assert word in text


def test_the_table_shows_the_published_figures_beside_ours(release: Path) -> None:
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in render(counts_table(Survey(prepared))).splitlines()
        if line.startswith("│")
    ]
    by_name = {row[1]: row[2:] for row in rows}
    neutral = sum(turn.label == "neu" for turn in TURNS)
    assert by_name["neutral"] == [str(neutral), "1,708", f"{neutral - 1708:,}"]
    assert [by_name[name][1] for name in ("happy", "sad", "angry")] == ["1,636", "1,084", "1,103"]
    assert [by_name[name][1] for name in "12345"] == ["1,085", "1,023", "1,151", "1,031", "1,241"]
    assert by_name["Ses05M"][1] == "651"
    assert exclusions_table(prepared) is None


def test_brackets_in_a_detail_are_no_markup() -> None:
    result = CheckResult("name", "fail", "expected `[a - b]`", ids=("[red]",), fix="mend [/x]")
    text = render(checks_table([result]))
    assert "expected `[a - b]`" in text
    assert "[red]" in text
    assert "mend [/x]" in text


def test_other_schemes_are_looked_at_too(release: Path) -> None:
    assert results_of(release)["other labels"].detail == "all are known to iemocap_vad"
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    worse = [
        replace(u, labels={**u.labels, "ratings": {"valence": 7.0}}) if u.id == NAME else u
        for u in prepared.utterances
    ]
    (result,) = (r for r in check(replace(prepared, utterances=worse)) if r.name == "other labels")
    assert (result.status, result.ids) == ("warn", (NAME,))
    assert result.detail == "iemocap_vad does not know those of 1 utterance: 7.0"


def test_lengths_that_nobody_stated_are_not_compared(release: Path) -> None:
    assert results_of(release)["stated lengths"].status == "pass"
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    assert prepared.num_stated == 80
    unstated = replace(prepared, num_stated=0)
    assert "stated lengths" not in {result.name for result in check(unstated)}


def test_parts_stand_beside_the_published_ones() -> None:
    corpus = replace(
        CORPORA["emodb"],
        protocol="",
        published=Published("clips", 4, parts={"train": 2, "val": 1, "test": 1}),
    )
    parts = ("test", "train", "train", "other")
    utterances = [
        Utterance(str(k), "emodb", part=part, labels={"category": "A"})
        for k, part in enumerate(parts)
    ]
    prepared = replace(of(), corpus=corpus, utterances=utterances)
    assert list(Survey(prepared).counts.parts) == ["train", "other", "test"]
    (result,) = (r for r in check(prepared) if r.name == "parts")
    assert result.status == "warn"
    assert result.detail == "2 of 4 parts differ: val: 0 of 1, other: 1 of 0"


def test_a_corpus_without_transcripts_or_audio_passes() -> None:
    (result,) = (r for r in check(of(Utterance("a", "x"))) if r.name == "transcripts")
    assert (result.status, result.detail) == ("warn", "none in the release")
    (result,) = (r for r in check(of(Utterance("a", "x", text="so"))) if r.name == "modalities")
    assert (result.status, result.detail) == ("pass", "transcripts alone, for all of 1")


def test_many_differences_are_told_in_part() -> None:
    corpus = replace(
        CORPORA["emodb"],
        published=Published("clips", 90, speakers={f"{k:02}": 3 for k in range(30)}),
    )
    (result,) = (r for r in check(replace(of(), corpus=corpus)) if r.name == "speakers")
    assert result.detail.startswith("30 of 30 speakers differ: 00: 0 of 3, 01: ")
    assert result.detail.endswith("11: 0 of 3 and 18 more")
