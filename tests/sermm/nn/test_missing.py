"""Stand-ins for what is missing, and who lacks what in training."""

from __future__ import annotations

import torch

from sermm.nn.missing import NUM_PARTS, MissingVector, MissingWords, draw_present


def test_somebody_always_stays() -> None:
    torch.manual_seed(0)
    present = draw_present(2, 4000, 0.4, torch.device("cpu"))
    assert present.any(dim=0).all()
    # 0.6 of each, and half of the 0.16 that lost both
    assert abs(float(present.float().mean()) - 0.68) < 0.02


def test_parts_cover_the_clip_without_overlap() -> None:
    states, lengths, mask, spans = MissingWords(size=3).sequence(torch.tensor([40, 5, 1]))
    assert states.shape == (3, 1 + NUM_PARTS, 3)
    assert lengths.tolist() == [1 + NUM_PARTS] * 3
    assert mask[:, 1:].all()
    assert not mask[:, 0].any()
    for row, frames in zip(spans, (40, 5, 1), strict=True):
        assert row[0].tolist() == [0, frames]
        covered = [k for start, end in row[1:].tolist() for k in range(start, end)]
        assert covered == list(range(frames))


def test_the_vector_stands_where_nothing_is() -> None:
    missing = MissingVector(size=2)
    values = torch.ones(2, 3, 2)
    found = missing(values, torch.tensor([True, False]))
    assert torch.equal(found[0], values[0])
    assert torch.equal(found[1], missing.vector.expand(3, 2))
