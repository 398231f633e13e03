from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.check import check, failures, narrow, refuse_failures
from data_modules.check.result import Needs
from data_modules.corpora import CORPORA, find_scheme
from data_modules.errors import DataError
from data_modules.prepare import load_prepared, prepare
from data_modules.prepared import Prepared
from data_modules.protocols import find_protocol
from tests.data_modules import iemocap_tree as tree

IEMOCAP = CORPORA["iemocap"]
TURNS = tree.small_turns()
SESSIONS, IMPROVISED = "iemocap4-session5", "iemocap4-improvised"
EVERYTHING: set[Needs] = {"audio", "text", "labels", "words"}


def turn_of(label: str, kind: str) -> str:
    return next(turn.name for turn in TURNS if turn.label == label and kind in turn.name)


SAD, SCRIPTED, AFRAID = turn_of("sad", "impro"), turn_of("sad", "script"), turn_of("fea", "impro")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tree.write_tree(tmp_path / "data", TURNS)


def prepared_of(release: Path) -> Prepared:
    prepared = prepare(IEMOCAP, release, release.parent / "cache")
    assert load_prepared(IEMOCAP, release.parent / "cache") == prepared
    return prepared


def failing(
    prepared: Prepared, scheme: str = "iemocap4", protocol: str = SESSIONS
) -> dict[str, tuple[str, ...]]:
    used = narrow(prepared, find_scheme(scheme), find_protocol(protocol))
    return {result.name: result.ids for result in failures(used, check(used), EVERYTHING)}


def test_a_missing_clip_stops_those_that_would_use_it(release: Path) -> None:
    for name in (SCRIPTED, AFRAID):
        tree.remove_clip(release, name)
    prepared = prepared_of(release)
    kept = {exclusion.id: exclusion.utterance for exclusion in prepared.exclusions}
    assert {name: u and u.labels["category"] for name, u in kept.items()} == {
        SCRIPTED: "sad",
        AFRAID: "fea",
    }
    assert failing(prepared) == {"audio files": (SCRIPTED,)}
    assert failing(prepared, protocol=IMPROVISED) == {}
    # ratings know no class, so fear takes part
    assert failing(prepared, scheme="iemocap_vad") == {
        "audio files": tuple(sorted((SCRIPTED, AFRAID)))
    }
    assert failing(prepared, scheme="iemocap_vad", protocol=IMPROVISED) == {
        "audio files": (AFRAID,)
    }


def test_a_missing_transcript_stops_those_that_would_use_it(release: Path) -> None:
    tree.drop_transcript(release, SCRIPTED)
    tree.empty_transcript(release, AFRAID)
    prepared = prepared_of(release)
    assert failing(prepared) == {"transcripts": (SCRIPTED,)}
    assert failing(prepared, protocol=IMPROVISED) == {}
    used = narrow(prepared, IEMOCAP.scheme, find_protocol(SESSIONS))
    assert failures(used, check(used), {"audio", "labels"}) == []
    with pytest.raises(DataError, match=f"transcripts of {SCRIPTED}: .*1 missing and 0 empty"):
        refuse_failures(used, check(used), {"text", "labels"})


def test_a_label_that_the_experiments_own_scheme_does_not_know_stops_it(release: Path) -> None:
    label = next(turn.label for turn in TURNS if turn.name == SAD)
    tree.edit(tree.label_path(release, SAD), f"{SAD}\t{label}", f"{SAD}\tsda")
    prepared = prepared_of(release)
    assert failing(prepared) == {"labels": (SAD,)}
    assert failing(prepared, protocol=IMPROVISED) == {"labels": (SAD,)}
    assert failing(prepared, scheme="iemocap_vad") == {}


def test_what_is_used_is_what_the_folds_hold(release: Path) -> None:
    prepared = prepared_of(release)
    used = narrow(prepared, IEMOCAP.scheme, find_protocol(IMPROVISED))
    expected = [
        turn.name
        for turn in TURNS
        if "impro" in turn.name and turn.label in ("neu", "hap", "exc", "sad", "ang")
    ]
    assert [u.id for u in used.utterances] == sorted(expected) == list(used.media)
    assert used.corpus.protocol == IMPROVISED
    other = narrow(prepared, find_scheme("iemocap_vad"), find_protocol(SESSIONS))
    assert [scheme.name for scheme in other.corpus.schemes] == ["iemocap_vad", "iemocap4"]
    # a protocol that cannot be used here is told when folds are made
    assert len(narrow(prepared, IEMOCAP.scheme, find_protocol("iemocap-folds")).utterances) > 30


def test_a_modality_that_is_not_there_at_all_is_told(release: Path) -> None:
    prepared = prepared_of(release)
    wordless = replace(prepared, utterances=[replace(u, text=None) for u in prepared.utterances])
    # nothing is wrong with such a corpus by itself
    assert "fail" not in {result.status for result in check(wordless)}
    assert failures(wordless, check(wordless), {"audio", "labels"}) == []
    with pytest.raises(DataError, match="got no transcripts at all; add the transcripts"):
        refuse_failures(wordless, check(wordless), {"text", "labels"})
    silent = replace(
        prepared,
        utterances=[replace(u, audio=None, start_s=None, end_s=None) for u in prepared.utterances],
        media={},
    )
    assert "fail" not in {result.status for result in check(silent)}
    assert failures(silent, check(silent), {"text", "labels"}) == []
    with pytest.raises(DataError, match=r"modalities: .*got no audio at all; copy the audio"):
        refuse_failures(silent, check(silent), {"audio", "labels"})


def test_transcripts_without_audio_fail_for_audio_alone(release: Path) -> None:
    prepared = prepared_of(release)

    def without_audio(name: str) -> Prepared:
        utterances = [
            replace(u, audio=None, start_s=None, end_s=None) if u.id == name else u
            for u in prepared.utterances
        ]
        media = {key: facts for key, facts in prepared.media.items() if key != name}
        return replace(prepared, utterances=utterances, media=media)

    assert failing(without_audio(SAD)) == {"modalities": (SAD,)}
    assert failing(without_audio(AFRAID)) == {}
    (result,) = (r for r in check(without_audio(AFRAID)) if r.name == "modalities")
    assert (result.status, result.needs, result.ids) == ("fail", "audio", (AFRAID,))
    assert result.detail == (
        "79 with audio and transcript, 0 with audio alone, 1 with a transcript alone"
    )
