from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import ManifestError
from data_modules.manifest import Utterance
from data_modules.media import read_media, write_media
from data_modules.media_facts import MediaFacts, MediaTable

COUNT = st.integers(0, 2**62)
REAL = st.floats(0, 1e9)


@st.composite
def facts(draw: st.DrawFn) -> MediaFacts:
    return MediaFacts(
        id=draw(st.sampled_from("abcdefgh")),
        path=draw(st.text(max_size=5)),
        size=draw(COUNT),
        mtime_ns=draw(COUNT),
        start_s=draw(st.none() | REAL),
        end_s=draw(st.none() | REAL),
        content_sha256=draw(st.sampled_from(["00" * 32, "0f" * 32, "ab" * 31 + "00"])),
        sample_rate=draw(COUNT),
        channels=draw(COUNT),
        num_samples=draw(COUNT),
        duration_s=draw(REAL),
        peak=draw(REAL),
        rms=draw(REAL),
        clipped_run=draw(COUNT),
    )


ONE = MediaFacts("a", "a.wav", 5, 2**60, None, 1.5, "ab" * 32, 48_000, 2, 24_000, 1.5, 0.9, 0.1, 0)


@given(st.lists(facts(), max_size=12))
def test_a_table_is_a_dict_of_the_same_facts(made: list[MediaFacts]) -> None:
    expected = {one.id: one for one in made}
    table = MediaTable(made)
    assert dict(table) == expected == table
    assert list(table) == list(expected)
    assert list(table.values()) == list(expected.values())
    assert pickle.loads(pickle.dumps(table)) == expected
    assert table.column("size").tolist() == [one.size for one in expected.values()]
    starts = [math.nan if one.start_s is None else one.start_s for one in expected.values()]
    np.testing.assert_array_equal(table.column("start_s"), starts)
    hashes = [one.content_sha256 for one in expected.values()]
    codes = table.contents()
    assert (codes[:, None] == codes).tolist() == [[a == b for b in hashes] for a in hashes]


def test_facts_can_be_replaced_and_joined() -> None:
    other = replace(ONE, id="b", end_s=None, content_sha256="cd" * 32)
    table = MediaTable([ONE, other])
    louder = replace(ONE, peak=1.0, path="c.wav", start_s=0.5, content_sha256="ef" * 32)
    table["a"] = louder
    assert table == {"a": louder, "b": other}
    assert table | {"b": replace(other, size=6)} == {"a": louder, "b": replace(other, size=6)}
    assert table["b"] == other
    assert "c" not in table
    assert table.get("c") is None


@pytest.mark.parametrize(
    "change",
    [{"size": 1.5}, {"rms": "loud"}, {"content_sha256": "ab"}, {"content_sha256": "xy" * 32}],
)
def test_what_is_no_fact_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        MediaTable([replace(ONE, **change)])


def test_stored_facts_come_back_and_share_the_ids_of_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "x.media.jsonl"
    made = {name: replace(ONE, id=name, path=f"{name}.wav") for name in ("clip1", "clip2")}
    write_media(path, made.values())
    assert read_media(path) == made
    utterances = [
        Utterance(f"clip{k}", "x", audio=None if k == 0 else f"clip{k}.wav") for k in range(3)
    ]
    table = read_media(path, utterances)
    assert table == made
    for own, stored in zip(utterances[1:], table, strict=True):
        assert own.id is stored
        assert own.audio is table[stored].path


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.media.jsonl"
    write_media(path, [ONE])
    good = path.read_bytes()
    for bad in (b"{", b"[]", b"\xff", good.replace(b"48000", b'"fast"'), good.replace(b"ab", b"")):
        path.write_bytes(good + bad + b"\n")
        with pytest.raises(ManifestError, match=r"x\.media\.jsonl:2: .*sermm prepare"):
            read_media(path)
