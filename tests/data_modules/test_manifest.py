from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import ManifestError, first_ids
from data_modules.manifest import (
    Utterance,
    Word,
    parse_utterance,
    read_manifest,
    write_manifest,
)
from data_modules.shared_values import SharedValues

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAME = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
SECONDS = st.floats(0, 1e5, allow_nan=False).map(float)


@st.composite
def words(draw: st.DrawFn) -> tuple[Word, ...]:
    times = sorted(draw(st.lists(SECONDS, max_size=6)))
    pairs = zip(times[::2], times[1::2], strict=False)
    return tuple(Word(draw(TEXT), a, b, draw(st.sampled_from(["corpus", "ctc"]))) for a, b in pairs)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    start, end = draw(
        st.one_of(st.just((None, None)), st.tuples(SECONDS, SECONDS).map(lambda p: sorted(p)))
    )
    maybe = st.none() | TEXT
    return Utterance(
        id=draw(NAME),
        corpus=draw(NAME),
        audio=draw(maybe),
        start_s=start,
        end_s=end,
        sample_rate=draw(st.none() | st.integers(1, 200_000)),
        speaker=draw(maybe),
        session=draw(maybe),
        dialogue=draw(maybe),
        gender=draw(maybe),
        script=draw(maybe),
        text=draw(maybe),
        words=draw(words()),
        labels={"category": draw(TEXT), "votes": {"ang": draw(st.integers(0, 9))}},
    )


@given(st.lists(utterances(), max_size=5, unique_by=lambda utterance: utterance.id))
def test_a_manifest_comes_back_equal(tmp_path: Path, expected: list[Utterance]) -> None:
    path = tmp_path / "demo.jsonl"
    write_manifest(path, expected)
    assert list(read_manifest(path)) == expected
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        assert list(json.loads(line)) == list(asdict(Utterance("a", "b")))


GOOD = {"id": "a", "corpus": "demo", "start_s": 0.0, "end_s": 1.5}
WORD = {"text": "hi", "start_s": 0.1, "end_s": 0.2, "source": "corpus"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "a JSON object"),
        ("[1]", r"a JSON object, got \[1\]"),
        (json.dumps(GOOD | {"speeker": "x"}), "fields id, corpus.*field 'speeker'"),
        (json.dumps(GOOD | {"text": 3}), "text as str or null, got 3"),
        (json.dumps(GOOD | {"sample_rate": True}), "sample_rate as int or null, got True"),
        (json.dumps(GOOD | {"labels": []}), "labels as dict"),
        (json.dumps({"id": "a"}), "an id and a corpus"),
        (json.dumps(GOOD | {"id": ""}), "an id and a corpus"),
        (json.dumps(GOOD | {"start_s": 2.0}), r"0 <= start_s <= end_s, got 2\.0 and 1\.5"),
        (json.dumps(GOOD | {"start_s": -1.0}), "0 <= start_s <= end_s"),
        (json.dumps(GOOD | {"end_s": None}), "0 <= start_s <= end_s"),
        (json.dumps(GOOD | {"words": ["hi"]}), "words as"),
        (json.dumps(GOOD | {"words": [WORD | {"end_s": 0.05}]}), "a word with 0 <= start_s"),
        (json.dumps(GOOD | {"words": [WORD | {"text": None}]}), "a word with"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "demo.jsonl"
    good = json.dumps(GOOD | {"id": "first"})
    path.write_text(f"{good}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"demo\.jsonl:3: expected {message}.*sermm prepare"):
        list(read_manifest(path))


def test_an_id_occurs_once(tmp_path: Path) -> None:
    path = tmp_path / "demo.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"demo\.jsonl:2: .*got a again"):
        list(read_manifest(path))


def test_no_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="got no file; make it with `sermm prepare CORPUS`"):
        list(read_manifest(tmp_path / "demo.jsonl"))


@given(st.text(max_size=80))
def test_any_line_is_an_utterance_or_an_error(line: str) -> None:
    with pytest.raises(ManifestError, match=r"^here: "):
        parse_utterance(line, "here")


def test_words_by_source_and_duration() -> None:
    made = (Word("a", 0, 1, "corpus"), Word("b", 1, 2, "ctc"), Word("c", 1, 2, "corpus"))
    utterance = Utterance("a", "demo", start_s=1.0, end_s=3.5, words=made)
    assert [word.text for word in utterance.words_from("corpus")] == ["a", "c"]
    assert utterance.duration_s == 2.5
    assert Utterance("a", "demo").duration_s == 0.0


def test_errors_name_a_handful_of_ids() -> None:
    assert first_ids(["a", "b"]) == "a, b"
    assert first_ids([str(n) for n in range(12)]) == "0, 1, 2, 3, 4 (and 7 more)"


def test_what_repeats_is_kept_once_and_stays_what_it_was(tmp_path: Path) -> None:
    """Equal to Python is not enough: 1, 1.0 and true are three values."""
    path = tmp_path / "demo.jsonl"
    labels = [{"v": value, "in": {"v": [value, "x"]}} for value in (1, 1.0, True, 1, 1.0, True)]
    made = [
        Utterance(str(k), "demo", speaker="me", words=(Word("so", 0.25, 0.5, "ctc"),), labels=one)
        for k, one in enumerate(labels)
    ]
    write_manifest(path, made)
    back = list(read_manifest(path))
    assert [repr(u.labels) for u in back] == [repr(one) for one in labels]
    for first, second in zip(back[:3], back[3:], strict=True):
        assert first.labels is second.labels
        assert first.speaker is second.speaker
        assert first.words[0].text is second.words[0].text
        assert first.words[0].start_s is second.words[0].start_s


def test_stores_of_repeated_values_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedValues, "_LIMIT", 3)
    path = tmp_path / "demo.jsonl"
    made = [
        Utterance(f"{k}", "demo", text=f"text {k}", labels={"rating": k / 7, "votes": {f"{k}": k}})
        for k in range(40)
    ]
    write_manifest(path, made)
    assert list(read_manifest(path)) == made
