from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data_modules.errors import DataError
from sermm.extremes import extreme_ids
from sermm.nn.pooling import AttentionPooling
from sermm.predictions import read_predictions
from sermm.report.attention import read_attention, weigh
from sermm.word_attention import _caught
from tests.sermm.workplace import Workplace


@pytest.mark.parametrize("task", ["text", "none"])
def test_runs_that_pool_a_text_by_attention_keep_its_weights(place: Workplace, task: str) -> None:
    folder = place.fit(task, "optim.epochs=1")
    found = read_attention(folder)
    said = read_predictions(folder / "predictions.csv")
    assert sorted(found) == extreme_ids(said)
    for pieces in found.values():
        assert sum(weight for _, weight in pieces) == pytest.approx(1, abs=1e-4)
        assert (pieces[0][0], pieces[-1][0]) == ("[CLS]", "[SEP]")
        assert min(weight for _, weight in pieces) >= 0
    assert place.sermm("report", folder.parent.name, "--no-audio").status == 0
    html = (folder.parent / "report.html").read_text()
    assert html.count('<p class="attention">') > 5


def test_other_runs_have_none(place: Workplace) -> None:
    assert read_attention(place.fit("linear", "optim.epochs=1")) == {}
    assert read_attention(place.fit("text", "optim.epochs=1", "model.pooling=mean")) == {}


def test_what_is_caught_is_what_is_pooled() -> None:
    pooling = AttentionPooling(input_size=5)
    values, mask = torch.randn(1, 4, 5), torch.tensor([[True, True, True, False]])
    with _caught(pooling) as caught:
        pooled = pooling(values, mask)
    (weights,) = caught
    assert weights[0, 3] == 0
    torch.testing.assert_close(torch.einsum("bf,bfd->bd", weights, values), pooled)
    with _caught(pooling) as again:
        pass
    pooling(values, mask)
    assert again == []


def test_pieces_become_words() -> None:
    words = weigh([("[CLS]", 0.1), ("gorg", 0.2), ("##eous", 0.3), ("\u0120day", 0.4)])
    assert [(w.text, pytest.approx(w.weight)) for w in words] == [
        ("[CLS]", 0.1),
        ("gorgeous", 0.5),
        ("day", 0.4),
    ]
    assert [w.strength for w in words] == pytest.approx([0.2, 1.0, 0.8])
    assert weigh([]) == []
    assert [w.strength for w in weigh([("a", 0.0)])] == [0.0]


@pytest.mark.parametrize("record", [{}, {"pieces": [1]}, {"pieces": {"a": [["b", "c"]]}}])
def test_a_damaged_file_is_an_error(tmp_path: Path, record: dict[str, object]) -> None:
    (tmp_path / "attention.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="pieces with weights by utterance"):
        read_attention(tmp_path)
