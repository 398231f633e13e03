from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules import prepare as module
from data_modules.audio import content_hash, load_audio
from data_modules.corpora import CORPORA
from data_modules.corpora.release import Corpus, Release
from data_modules.errors import CorpusNotFoundError, ManifestError, MediaError
from data_modules.manifest import Utterance, Word, read_manifest, write_manifest
from data_modules.media import MediaFacts, longest_run, scan_media
from data_modules.prepare import load_prepared, manifest_path, prepare
from tests.data_modules import iemocap_tree as tree

NAME = "Ses02F_impro01_M001"
TURNS = tree.small_turns()
IEMOCAP = CORPORA["iemocap"]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tree.write_tree(tmp_path / "data", TURNS)


def corpus_of(*utterances: Utterance, stated_s: dict[str, float] | None = None) -> Corpus:
    """A corpus whose reader gives just these."""

    def read(root: Path) -> Release:
        return Release(utterances=list(utterances), stated_s=stated_s or {})

    return replace(CORPORA["ravdess"], read=read)


def write_clip(path: Path, seconds: float, sample_rate: int = 16_000, channels: int = 1) -> None:
    rng = np.random.default_rng(3)
    samples = rng.integers(-9000, 9000, (round(seconds * sample_rate), channels), dtype=np.int16)
    soundfile.write(path, samples, sample_rate)


def test_the_manifest_says_what_the_audio_says(release: Path, tmp_path: Path) -> None:
    prepared = prepare(IEMOCAP, release, tmp_path / "cache")
    path = manifest_path("iemocap", tmp_path / "cache")
    assert path == tmp_path / "cache" / "manifests" / "iemocap.jsonl"
    assert list(read_manifest(path)) == prepared.utterances
    for utterance in prepared.utterances:
        assert (utterance.start_s, utterance.end_s) == (0.0, tree.SECONDS)
        assert utterance.sample_rate == 16_000
        assert utterance.audio is not None
        assert not Path(utterance.audio).is_absolute()
        waveform = load_audio(prepared.audio_path(utterance))
        facts = prepared.media_facts(utterance)
        assert facts.content_sha256 == content_hash(waveform)
        assert facts.num_samples == len(waveform)
        assert facts.peak == np.abs(waveform).max()
        assert facts.rms == pytest.approx(np.sqrt(np.mean(waveform.astype(float) ** 2)))


def test_what_was_written_is_read_back_equal(release: Path, tmp_path: Path) -> None:
    tree.add_leftovers(release, NAME)
    tree.remove_alignment(release, NAME)
    tree.remove_clip(release, "Ses01F_impro01_F000")
    prepared = prepare(IEMOCAP, release, tmp_path / "cache")
    assert prepared.exclusions
    assert prepared.ignored
    assert prepared.notes
    assert load_prepared(IEMOCAP, tmp_path / "cache") == prepared
    about = json.loads((tmp_path / "cache/manifests/iemocap.prepare.json").read_text())
    assert about["counts"] == {
        "utterances": len(TURNS) - 1,
        "excluded": {"audio is missing": 1},
        "ignored": {"leftovers of a file system (._*, .DS_Store)": 4},
        "notes": {"no word times (.wdseg)": 1},
        "stated_lengths": len(TURNS) - 1,
    }
    assert sorted(path.name for path in (tmp_path / "cache" / "manifests").iterdir()) == [
        "iemocap.exclusions.jsonl",
        "iemocap.jsonl",
        "iemocap.media.jsonl",
        "iemocap.prepare.json",
    ]


@pytest.mark.parametrize(
    ("trap", "reason", "detail"),
    [
        (tree.remove_clip, "audio is missing", "no file"),
        (tree.empty_clip, "audio is empty", "zero bytes"),
        (tree.truncate_clip, "audio is cut short", "8000 bytes"),
    ],
)
def test_damaged_audio_is_listed_with_its_reason(
    release: Path, tmp_path: Path, trap: object, reason: str, detail: str
) -> None:
    assert callable(trap)
    trap(release, NAME)
    prepared = prepare(IEMOCAP, release, tmp_path / "cache")
    (exclusion,) = prepared.exclusions
    assert (exclusion.id, exclusion.reason) == (NAME, reason)
    assert str(tree.clip_path(release, NAME)) in exclusion.detail
    assert detail in exclusion.detail
    assert len(prepared.utterances) == len(TURNS) - 1
    assert NAME not in {utterance.id for utterance in prepared.utterances}
    assert NAME not in prepared.media


def test_unreadable_audio_is_listed(release: Path, tmp_path: Path) -> None:
    tree.clip_path(release, NAME).write_bytes(b"this is not sound")
    (exclusion,) = prepare(IEMOCAP, release, tmp_path / "cache").exclusions
    assert exclusion.reason == "audio cannot be decoded"


def test_a_release_without_any_audio_is_refused(release: Path, tmp_path: Path) -> None:
    for turn in TURNS:
        tree.remove_clip(release, turn.name)
    with pytest.raises(CorpusNotFoundError, match=r"got 80 left out \(audio is missing\)"):
        prepare(IEMOCAP, release, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_second_call_decodes_only_what_changed(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(IEMOCAP, release, tmp_path / "cache")
    scanned: list[str] = []

    def scan(name: str, *part: object) -> MediaFacts:
        scanned.append(name)
        return scan_media(name, *part)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "scan_media", scan)
    assert prepare(IEMOCAP, release, tmp_path / "cache") == first
    assert scanned == []
    path = tree.clip_path(release, NAME)
    path.write_bytes(tree.wav_bytes(np.arange(6000, dtype=np.int16)))
    second = prepare(IEMOCAP, release, tmp_path / "cache")
    assert scanned == [NAME]
    assert second.data_sha256 != first.data_sha256
    by_id = {utterance.id: utterance for utterance in second.utterances}
    assert by_id[NAME].end_s == 6000 / 16_000
    # another folder has other files, whatever their names and dates
    scanned.clear()
    moved = release.rename(release.with_name("moved"))
    third = prepare(IEMOCAP, moved, tmp_path / "cache")
    assert len(scanned) == len(TURNS)
    assert third.data_sha256 == second.data_sha256


def test_the_data_hash_is_of_content_and_not_of_place(release: Path, tmp_path: Path) -> None:
    here = prepare(IEMOCAP, release, tmp_path / "a")
    above = prepare(IEMOCAP, release.parent, tmp_path / "b")
    assert here.utterances != above.utterances
    assert here.data_sha256 == above.data_sha256
    label = next(turn.label for turn in TURNS if turn.name == NAME)
    path = tree.label_path(release, NAME)
    tree.edit(path, f"\t{NAME}\t{label}", f"\t{NAME}\tfea")
    assert prepare(IEMOCAP, release, tmp_path / "a").data_sha256 != here.data_sha256
    tree.edit(path, f"\t{NAME}\tfea", f"\t{NAME}\t{label}")
    assert prepare(IEMOCAP, release, tmp_path / "a").data_sha256 == here.data_sha256
    clip = bytearray(tree.clip_path(release, NAME).read_bytes())
    clip[-1] ^= 1
    tree.clip_path(release, NAME).write_bytes(clip)
    assert prepare(IEMOCAP, release, tmp_path / "a").data_sha256 != here.data_sha256


def test_facts_follow_a_file_that_changes_later(release: Path, tmp_path: Path) -> None:
    prepared = prepare(IEMOCAP, release, tmp_path / "cache")
    utterance = next(u for u in prepared.utterances if u.id == NAME)
    before = prepared.media_facts(utterance)
    assert prepared.media_facts(utterance) == before
    path = tree.clip_path(release, NAME)
    samples = np.arange(4000, dtype=np.int16)
    path.write_bytes(tree.wav_bytes(samples))
    # same length and, at worst, the same second: the date in nanoseconds tells
    os.utime(path, ns=(before.mtime_ns + 1, before.mtime_ns + 1))
    after = prepared.media_facts(utterance)
    assert after.content_sha256 == content_hash(samples.astype(np.float32) / 32768)
    assert after.content_sha256 != before.content_sha256
    path.unlink()
    with pytest.raises(MediaError, match="no file"):
        prepared.media_facts(utterance)


def test_rates_and_channels_of_the_file_are_kept(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", 0.5, sample_rate=48_000, channels=2)
    corpus = corpus_of(Utterance("a", "ravdess", audio="a.wav"))
    prepared = prepare(corpus, tmp_path, tmp_path / "cache")
    (facts,) = prepared.media.values()
    assert (facts.sample_rate, facts.channels, facts.num_samples) == (48_000, 2, 8_000)
    assert prepared.utterances[0].sample_rate == 48_000
    assert prepared.utterances[0].end_s == 0.5


def test_parts_of_one_file_are_clips_of_their_own(tmp_path: Path) -> None:
    write_clip(tmp_path / "long.wav", 2.0)
    parts = [
        Utterance("first", "ravdess", audio="long.wav", start_s=0.0, end_s=0.75),
        Utterance("second", "ravdess", audio="long.wav", start_s=0.75, end_s=2.0),
        Utterance("beyond", "ravdess", audio="long.wav", start_s=1.5, end_s=2.5),
    ]
    prepared = prepare(corpus_of(*parts), tmp_path, tmp_path / "cache")
    assert [(u.id, u.start_s, u.end_s) for u in prepared.utterances] == [
        ("first", 0.0, 0.75),
        ("second", 0.75, 2.0),
    ]
    assert [facts.num_samples for facts in prepared.media.values()] == [12_000, 20_000]
    assert [(e.id, e.reason) for e in prepared.exclusions] == [("beyond", "audio is cut short")]
    expected = content_hash(load_audio(tmp_path / "long.wav", 0.75, 2.0))
    assert prepared.media_facts(prepared.utterances[1]).content_sha256 == expected
    # the file is as before, the part of it is another
    moved = replace(parts[1], end_s=1.75)
    again = prepare(corpus_of(parts[0], moved), tmp_path, tmp_path / "cache")
    assert [facts.num_samples for facts in again.media.values()] == [12_000, 16_000]


def test_text_without_audio_needs_no_media(tmp_path: Path) -> None:
    prepared = prepare(
        corpus_of(Utterance("a", "ravdess", text="hello")), tmp_path, tmp_path / "cache"
    )
    assert prepared.media == {}
    assert prepared.utterances[0].end_s is None
    assert load_prepared(prepared.corpus, tmp_path / "cache").utterances == prepared.utterances


def test_words_end_with_the_audio_and_are_counted(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", 1.0)
    write_clip(tmp_path / "b.wav", 1.0)
    words = tuple(
        Word(text, start, end, "corpus")
        for text, start, end in (("in", 0.1, 0.4), ("cut", 0.4, 1.3), ("gone", 1.3, 1.5))
    )
    rounded = (Word("last", 0.5, 1.01, "corpus"),)
    corpus = corpus_of(
        Utterance("a", "ravdess", audio="a.wav", words=words),
        Utterance("b", "ravdess", audio="b.wav", words=rounded),
    )
    prepared = prepare(corpus, tmp_path, tmp_path / "cache")
    assert [(w.text, w.end_s) for w in prepared.utterances[0].words] == [("in", 0.4), ("cut", 1.0)]
    assert [(w.text, w.end_s) for w in prepared.utterances[1].words] == [("last", 1.0)]
    (note,) = prepared.notes
    assert note.id == "a"
    assert note.detail == "1 of 3 words end with the audio, 1 lose their times"


def test_a_length_that_the_release_states_otherwise_is_noted(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", 1.0)
    corpus = corpus_of(Utterance("a", "ravdess", audio="a.wav"), stated_s={"a": 1.05})
    assert not prepare(corpus, tmp_path, tmp_path / "cache").notes
    corpus = corpus_of(Utterance("a", "ravdess", audio="a.wav"), stated_s={"a": 1.5})
    (note,) = prepare(corpus, tmp_path, tmp_path / "cache").notes
    assert note.detail == "1.000 s of audio, stated are 1.500 s"


def test_ids_that_occur_twice_are_refused(tmp_path: Path) -> None:
    corpus = corpus_of(Utterance("a", "ravdess"), Utterance("a", "ravdess"))
    with pytest.raises(ManifestError, match="got a more than once; remove the second copy"):
        prepare(corpus, tmp_path, tmp_path / "cache")


def test_an_aligners_words_stay_while_text_and_audio_are_the_same(
    release: Path, tmp_path: Path
) -> None:
    prepared = prepare(IEMOCAP, release, tmp_path / "cache")
    made = Word("excuse", 0.01, 0.02, "pocketsphinx")
    aligned = [replace(u, words=(*u.words, made)) for u in prepared.utterances]
    write_manifest(manifest_path("iemocap", tmp_path / "cache"), aligned)
    assert load_prepared(IEMOCAP, tmp_path / "cache").utterances == aligned
    kept = prepare(IEMOCAP, release, tmp_path / "cache")
    assert kept.utterances == aligned
    # the same data as before: an aligner can make these times again
    assert kept.data_sha256 == prepared.data_sha256
    other = "Ses01F_impro01_F000"
    tree.empty_transcript(release, NAME)
    tree.clip_path(release, other).write_bytes(tree.wav_bytes(np.arange(4000, dtype=np.int16)))
    again = prepare(IEMOCAP, release, tmp_path / "cache")
    without = {u.id for u in again.utterances if not u.words_from("pocketsphinx")}
    assert without == {NAME, other}
    assert all(u.words_from("corpus") for u in again.utterances)


def test_progress_ends_with_all_clips(release: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    prepare(
        IEMOCAP, release, tmp_path / "cache", on_progress=lambda done, of: seen.append((done, of))
    )
    assert seen == [(number, len(TURNS)) for number in range(1, len(TURNS) + 1)]


def test_a_corpus_that_was_not_prepared_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"got no file; run `sermm prepare iemocap --root DIR`"):
        load_prepared(IEMOCAP, tmp_path)


def test_a_manifest_of_another_reader_is_refused(release: Path, tmp_path: Path) -> None:
    prepare(IEMOCAP, release, tmp_path)
    with pytest.raises(ManifestError, match="by version 99 of its reader, got iemocap by version"):
        load_prepared(replace(IEMOCAP, version=99), tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("iemocap.prepare.json", "{"),
        ("iemocap.prepare.json", '{"corpus": "iemocap"}'),
        ("iemocap.jsonl", '{"id": "x"}\n'),
        ("iemocap.media.jsonl", '{"id": "x"}\n'),
        ("iemocap.media.jsonl", "[]\n"),
        ("iemocap.media.jsonl", ""),
        ("iemocap.exclusions.jsonl", "{}\n"),
        ("iemocap.exclusions.jsonl", "nonsense\n"),
    ],
)
def test_damaged_files_are_refused_and_made_anew(
    release: Path, tmp_path: Path, name: str, content: str
) -> None:
    first = prepare(IEMOCAP, release, tmp_path)
    (tmp_path / "manifests" / name).write_text(content, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"manifests/iemocap.*sermm prepare"):
        load_prepared(IEMOCAP, tmp_path)
    assert prepare(IEMOCAP, release, tmp_path) == first


@pytest.mark.parametrize("suffix", ["", ".prepare", ".media", ".exclusions"])
def test_files_that_are_gone_are_missed_and_made_anew(
    release: Path, tmp_path: Path, suffix: str
) -> None:
    first = prepare(IEMOCAP, release, tmp_path)
    (path,) = (tmp_path / "manifests").glob(f"iemocap{suffix}.json*")
    path.unlink()
    with pytest.raises(ManifestError, match=rf"{path.name}: .*no file.*sermm prepare"):
        load_prepared(IEMOCAP, tmp_path)
    assert prepare(IEMOCAP, release, tmp_path) == first


@pytest.mark.parametrize(
    ("flags", "longest"),
    [([], 0), ([0], 0), ([1], 1), ([1, 1, 0, 1], 2), ([0, 1, 1, 1], 3), ([1, 0, 1, 0], 1)],
)
def test_longest_run(flags: list[int], longest: int) -> None:
    assert longest_run(np.array(flags, dtype=bool)) == longest
