from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.check import check
from data_modules.check.counts import count
from data_modules.corpora import CORPORA, Release, find_corpus, iemocap
from data_modules.errors import ConfigError, CorpusNotFoundError
from data_modules.prepare import prepare
from tests.data_modules import iemocap_tree as tree

NAME = "Ses02F_impro01_M001"
TURNS = tree.small_turns()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tree.write_tree(tmp_path / "data", TURNS)


def excluded(found: Release) -> dict[str, str]:
    return {exclusion.id: exclusion.reason for exclusion in found.exclusions}


def noted(found: Release) -> dict[str, str]:
    return {note.id: note.reason for note in found.notes}


def ids(found: Release) -> list[str]:
    return [utterance.id for utterance in found.utterances]


def test_a_sound_release_is_read_whole(release: Path) -> None:
    found = iemocap.read(release)
    assert ids(found) == sorted(turn.name for turn in TURNS)
    assert not found.exclusions
    assert not found.ignored
    assert not found.notes
    by_id = {utterance.id: utterance for utterance in found.utterances}
    assert {name: u.labels["category"] for name, u in by_id.items()} == {
        turn.name: turn.label for turn in TURNS
    }
    scripted = by_id["Ses04M_script01_1b_F002"]
    assert scripted.corpus == "iemocap"
    assert scripted.audio == (
        "Session4/sentences/wav/Ses04M_script01_1b/Ses04M_script01_1b_F002.wav"
    )
    # the recording is named after the man who wears the markers; the woman speaks
    assert (scripted.speaker, scripted.gender) == ("Ses04F", "female")
    assert (scripted.session, scripted.dialogue) == ("4", "Ses04M_script01_1b")
    assert scripted.script == "script01_1"
    assert by_id[NAME].script is None
    assert scripted.text == tree.SENTENCE
    assert [(w.text, w.start_s, w.end_s) for w in scripted.words] == tree.WDSEG_WORDS
    assert scripted.labels["ratings"] == {"valence": 2.5, "activation": 3.0, "dominance": 1.5}
    assert len({utterance.speaker for utterance in found.utterances}) == 10


def test_the_folder_above_is_good_enough_and_paths_follow_it(release: Path) -> None:
    found = iemocap.read(release.parent)
    assert ids(found) == ids(iemocap.read(release))
    for utterance in found.utterances:
        assert utterance.audio is not None
        assert (release.parent / utterance.audio).is_file()


def test_another_folder_is_no_release(tmp_path: Path) -> None:
    (tmp_path / "Session1").mkdir()
    with pytest.raises(CorpusNotFoundError, match=r"dialog/EmoEvaluation.*got Session1.*--root"):
        iemocap.read(tmp_path)
    with pytest.raises(CorpusNotFoundError, match="no such folder"):
        iemocap.read(tmp_path / "nowhere")


def test_the_demo_corpus_is_read_by_the_same_reader(release: Path) -> None:
    assert {u.corpus for u in CORPORA["demo"].read(release).utterances} == {"demo"}


def test_an_unknown_corpus_names_the_nearest() -> None:
    assert find_corpus("iemocap").title == "IEMOCAP"
    with pytest.raises(ConfigError, match=r"got 'IEMOCAPS'; write iemocap"):
        find_corpus("IEMOCAPS")


def test_leftovers_of_a_mac_are_passed_over_and_listed(release: Path) -> None:
    leftovers = tree.add_leftovers(release, NAME)
    found = iemocap.read(release)
    assert len(found.utterances) == len(TURNS)
    (listed,) = found.ignored.values()
    assert sorted(listed) == sorted(leftovers)
    assert found.counts == {"leftovers of a file system (._*, .DS_Store)": 4}


def test_unnumbered_turns_are_passed_over_and_listed(release: Path) -> None:
    names = tree.add_unnumbered_turns(release, NAME)
    found = iemocap.read(release)
    assert len(found.utterances) == len(TURNS)
    assert found.ignored == {"turns without a number (XX)": names}


def test_a_missing_alignment_leaves_the_utterance_without_word_times(release: Path) -> None:
    tree.remove_alignment(release, NAME)
    found = iemocap.read(release)
    assert noted(found) == {NAME: "no word times (.wdseg)"}
    assert {u.id for u in found.utterances if not u.words} == {NAME}


def test_a_damaged_alignment_is_named_by_line(release: Path) -> None:
    path = tree.alignment_path(release, NAME)
    path.write_text(tree.WDSEG.replace("\t    6\t    8", "\t    6\t  eight"), encoding="ascii")
    found = iemocap.read(release)
    where = f"{path.relative_to(release).as_posix()}:4"
    assert noted(found) == {where: "word times that cannot be read"}
    assert {u.id for u in found.utterances if not u.words} == {NAME}


def test_turns_without_a_majority_stay_in_the_manifest(release: Path, tmp_path: Path) -> None:
    prepared = prepare(CORPORA["iemocap"], release, tmp_path / "cache")
    without = [u for u in prepared.utterances if u.labels["category"] == "xxx"]
    assert len(without) == sum(turn.label == "xxx" for turn in TURNS) > 0
    assert count(prepared).left_out["the raters did not agree on one label"] == len(without)


def test_a_bad_label_line_is_listed_with_its_place(release: Path) -> None:
    where = tree.spoil_label_line(release, NAME)
    found = iemocap.read(release)
    assert excluded(found) == {
        where: "label line that cannot be read",
        NAME: "audio without a label",
    }
    assert len(found.utterances) == len(TURNS) - 1
    path, number = where.rsplit(":", 1)
    assert NAME in (release / path).read_text(encoding="ascii").split("\n")[int(number) - 1]


def test_a_turn_in_the_label_file_of_another_dialogue_is_listed(release: Path) -> None:
    path = tree.label_path(release, NAME)
    number = tree.edit(path, f"\t{NAME}\t", "\tSes03F_impro01_M001\t")
    found = iemocap.read(release)
    where = f"{path.relative_to(release).as_posix()}:{number}"
    assert excluded(found)[where] == "label line that cannot be read"
    # session 3 has a turn of this name, which keeps its own label
    assert Counter(ids(found))["Ses03F_impro01_M001"] == 1


def test_two_labels_must_agree(release: Path) -> None:
    path = tree.label_path(release, NAME)
    other = "Ses02F_impro01_F000"
    label = next(turn.label for turn in TURNS if turn.name == other)
    with path.open("a", encoding="ascii") as stream:
        for name, value in ((NAME, "fea"), (other, label)):
            stream.write(f"\n\n[1.0 - 2.0]\t{name}\t{value}\t[1, 2, 3]\n")
    found = iemocap.read(release)
    assert excluded(found) == {NAME: "two labels that contradict each other"}
    assert list(noted(found).values()) == ["labelled twice alike"]


def test_audio_and_transcripts_without_a_label_are_listed(release: Path) -> None:
    other = "Ses02F_impro01_F000"
    tree.drop_label(release, NAME)
    tree.drop_label(release, other)
    tree.remove_clip(release, other)
    found = iemocap.read(release)
    assert excluded(found) == {
        NAME: "audio without a label",
        other: "transcript without audio and label",
    }


def test_a_missing_transcript_is_not_an_empty_one(release: Path) -> None:
    other = "Ses02F_impro01_F000"
    tree.drop_transcript(release, NAME)
    tree.empty_transcript(release, other)
    found = iemocap.read(release)
    texts = {utterance.id: utterance.text for utterance in found.utterances}
    assert texts[NAME] is None
    assert texts[other] == ""
    assert noted(found) == {NAME: "no transcript"}


def test_text_that_is_not_utf8_is_read_and_noted(release: Path) -> None:
    path = tree.transcript_path(release, NAME)
    path.write_bytes(path.read_bytes().replace(b"excuse me", b"caf\xe9 me", 1))
    found = iemocap.read(release)
    assert any(u.text is not None and u.text.startswith("café me") for u in found.utterances)
    assert list(noted(found).values()) == ["text is not UTF-8, read as Latin-1"]


def test_a_dialogue_whose_labels_are_missing_is_listed_whole(release: Path) -> None:
    tree.label_path(release, NAME).unlink()
    found = iemocap.read(release)
    assert set(excluded(found).values()) == {"audio without a label"}
    assert len(found.utterances) + len(found.exclusions) == len(TURNS)


TRAPS = {
    "remove clip": tree.remove_clip,
    "truncate clip": tree.truncate_clip,
    "empty clip": tree.empty_clip,
    "remove alignment": tree.remove_alignment,
    "spoil label": tree.spoil_label_line,
    "drop label": tree.drop_label,
    "drop transcript": tree.drop_transcript,
    "empty transcript": tree.empty_transcript,
    "leftovers": tree.add_leftovers,
    "unnumbered": tree.add_unnumbered_turns,
}


@settings(max_examples=15)
@given(
    st.dictionaries(
        st.sampled_from([turn.name for turn in TURNS[::7]]), st.sampled_from(sorted(TRAPS))
    )
)
def test_what_goes_in_comes_out_or_is_listed(
    tmp_path_factory: pytest.TempPathFactory, traps: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("traps")
    release = tree.write_tree(folder, TURNS)
    for name, trap in traps.items():
        TRAPS[trap](release, name)
    prepared = prepare(CORPORA["iemocap"], release, folder / "cache")
    kept = {utterance.id for utterance in prepared.utterances}
    listed = {exclusion.id for exclusion in prepared.exclusions}
    assert kept.isdisjoint(listed)
    assert {turn.name for turn in TURNS} == kept | {name for name in listed if ":" not in name}
    gone = {"remove clip", "truncate clip", "empty clip", "spoil label", "drop label"}
    assert listed >= {name for name, trap in traps.items() if trap in gone}
    assert len(kept) == len(TURNS) - sum(trap in gone for trap in traps.values())


@pytest.mark.real
def test_the_published_turns_give_the_published_counts(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = tree.published_turns(shared_data / "iemocap" / "iemocap_4class_5531.tsv")
    assert len(turns) == 5531
    release = tree.write_tree(tmp_path, turns)
    prepared = prepare(CORPORA["iemocap"], release, tmp_path / "cache")
    assert [utterance.id for utterance in prepared.utterances] == sorted(t.name for t in turns)
    counts = count(prepared)
    assert counts.classes == {"neutral": 1708, "happy": 1636, "angry": 1103, "sad": 1084}
    assert counts.sessions == {"1": 1085, "2": 1023, "3": 1151, "4": 1031, "5": 1241}
    # docs of the public list, by who speaks
    assert list(counts.speakers.values()) == [528, 557, 481, 542, 522, 629, 528, 503, 590, 651]
    assert list(counts.speakers) == [f"Ses0{n}{letter}" for n in range(1, 6) for letter in "FM"]
    # the trap: the start of the name is the speaker in hardly more than half of the turns
    assert sum(u.id[:6] == u.speaker for u in prepared.utterances) == 2781
    improvised = [u for u in prepared.utterances if u.script is None]
    assert len(improvised) == 2943
    # each scripted scene is played in all five sessions
    scenes: dict[str | None, set[str | None]] = {}
    for utterance in prepared.utterances:
        scenes.setdefault(utterance.script, set()).add(utterance.session)
    assert all(len(sessions) == 5 for sessions in scenes.values())
    # scenes are played in every session, and the tree has the same words everywhere
    troubled = {result.name for result in check(prepared) if result.status != "pass"}
    assert troubled == {"shared scripts", "shared texts"}
    # a second call decodes nothing
    monkeypatch.setattr("data_modules.prepare.scan_media", None)
    again = prepare(CORPORA["iemocap"], release, tmp_path / "cache")
    assert again == prepared
