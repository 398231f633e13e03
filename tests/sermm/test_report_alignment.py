from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_modules.errors import DataError
from sermm.report.alignment import read_alignment_example
from sermm.report.alignment_plot import alignment_picture
from tests.sermm.fake_runs import WORDS, write_alignment


def test_an_alignment_example_comes_back(tmp_path: Path) -> None:
    example = read_alignment_example(write_alignment(tmp_path))
    assert example.duration_s == 1.0
    assert example.words == WORDS
    assert example.tokens == ("[CLS]", "five", "##$", "[SEP]")
    assert example.envelope.shape == (1200, 2)
    assert example.envelope.min() == pytest.approx(-0.5, abs=1e-3)
    assert (example.envelope[:, 0] <= example.envelope[:, 1]).all()
    assert example.attention is not None
    np.testing.assert_allclose(example.attention.sum(axis=1), 1, rtol=1e-5)
    short = read_alignment_example(write_alignment(tmp_path, waveform=np.zeros(3)))
    assert short.envelope.shape == (3, 2)


@pytest.mark.parametrize(
    ("left_out", "panels"),
    [
        ({}, 3),
        ({"attention": None}, 2),
        ({"attention": None, "log_mel": None, "tokens": (), "token_spans_s": None}, 1),
        ({"words": (), "token_spans_s": None}, 3),
    ],
)
def test_panels_without_data_are_left_out(
    tmp_path: Path, left_out: dict[str, Any], panels: int
) -> None:
    svg = alignment_picture(read_alignment_example(write_alignment(tmp_path, **left_out)))
    labels = [name for name in ("amplitude", "mel band", "word piece") if name in svg]
    assert len(labels) == panels
    assert "time (s)" in svg
    assert ("&lt;b&gt;5 $x_1$" in svg) == ("words" not in left_out)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"waveform": np.zeros((2, 5))}, r"a waveform \(N,\), got \(2, 5\)"),
        ({"attention_stride_s": 0.0}, "attention with two axes and its stride"),
        ({"tokens": ["a"]}, "attention of 1 tokens, got 4"),
    ],
)
def test_an_example_that_does_not_fit_is_not_written(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        write_alignment(tmp_path, **change)
    assert not list(tmp_path.iterdir())


def test_a_damaged_example_names_its_path(tmp_path: Path) -> None:
    path = write_alignment(tmp_path)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no zip at all"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"alignment\.npz: expected an alignment example"):
            read_alignment_example(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(DataError, match="expected an alignment example"):
        read_alignment_example(path)
