from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sermm.build_checkpoint import load_task
from sermm.build_data import RunData, build_data
from sermm.compose import load_config
from sermm.example import write_example
from sermm.predictions import Predictions, read_predictions
from sermm.report.alignment import FILE_NAME, AlignmentExample, read_alignment_example
from sermm.stages import load_ready, make_selection
from tests.sermm.workplace import Workplace


def redo(folder: Path, change: Callable[[Predictions], Predictions]) -> AlignmentExample | None:
    """Write the example of a finished run again, for other predictions."""
    config = load_config(str(folder / "config.yaml"))
    prepared = load_ready(config)
    data: RunData = build_data(config, prepared, make_selection(config, prepared))
    (folder / FILE_NAME).unlink(missing_ok=True)
    write_example(
        folder,
        prepared=prepared,
        data=data,
        task=load_task(folder / "checkpoints" / "best.ckpt")[0],
        predictions=change(read_predictions(folder / "predictions.csv")),
    )
    path = folder / FILE_NAME
    return read_alignment_example(path) if path.exists() else None


def test_words_and_their_pieces(place: Workplace) -> None:
    folder = place.fit("span")
    shown = read_alignment_example(folder / FILE_NAME)
    found = read_predictions(folder / "predictions.csv")
    number = found.ids.index(shown.utterance_id)
    assert shown.label == shown.predicted == found.names[found.references[number]]
    assert 0.2 < shown.duration_s < 0.4
    said = [word.text for word in shown.words]
    assert len(said) > 2
    assert {word.source for word in shown.words} == {"corpus"}
    assert (shown.tokens[0], shown.tokens[-1]) == ("[CLS]", "[SEP]")
    pieces = "".join(piece.removeprefix("##") for piece in shown.tokens[1:-1])
    # the word that only this session has is new to the vocabulary
    assert pieces == "".join("[UNK]" if word == "place1" else word for word in said)
    assert shown.token_spans_s is not None
    assert shown.token_spans_s.shape == (len(shown.tokens), 2)
    # a piece lies where its word is spoken, to within a frame
    first = shown.token_spans_s[1]
    assert first == pytest.approx([shown.words[0].start_s, shown.words[0].end_s], abs=0.02)
    assert shown.log_mel is not None
    assert shown.log_mel_stride_s == pytest.approx(0.01)
    assert len(shown.log_mel) * 0.01 == pytest.approx(shown.duration_s, abs=0.04)
    # times decide: nothing is attended to
    assert shown.attention is None


def test_attention_is_a_row_of_weights_for_each_piece(place: Workplace) -> None:
    folder = place.fit("attention", "model.conv_layers=1")
    shown = read_alignment_example(folder / FILE_NAME)
    assert shown.attention is not None
    assert shown.token_spans_s is None
    num_pieces, num_frames = shown.attention.shape
    assert num_pieces == len(shown.tokens)
    np.testing.assert_allclose(shown.attention.sum(axis=1), 1, rtol=1e-5)
    # one convolution halves the rate of 50 frames a second
    assert shown.attention_stride_s == pytest.approx(0.04)
    assert num_frames * 0.04 == pytest.approx(shown.duration_s, abs=0.05)


def test_speech_alone_shows_the_words_of_the_corpus(place: Workplace) -> None:
    shown = read_alignment_example(place.fit("acoustic") / FILE_NAME)
    assert {word.source for word in shown.words} == {"corpus"}
    assert shown.tokens == ()
    assert shown.attention is None


def test_text_alone_has_nothing_to_show(place: Workplace) -> None:
    assert not (place.fit("text") / FILE_NAME).exists()


def all_right(found: Predictions) -> Predictions:
    return replace(found, outcomes=found.references)


def all_wrong(found: Predictions) -> Predictions:
    return replace(found, outcomes=(found.references + 1) % len(found.names))


def test_it_is_a_recognised_one_of_about_four_seconds(place: Workplace) -> None:
    folder = place.fit("linear", "optim.epochs=1")
    assert redo(folder, all_wrong) is None
    longest = redo(folder, all_right)
    assert longest is not None
    # all are shorter than 4 s, so it is the longest
    found = read_predictions(folder / "predictions.csv")
    config = load_config(str(folder / "config.yaml"))
    durations = {u.id: u.duration_s for u in load_ready(config).utterances if u.id in found.ids}
    assert durations[longest.utterance_id] == max(durations.values())

    def without_it(one: Predictions) -> Predictions:
        outcomes = one.references.copy()
        outcomes[one.ids.index(longest.utterance_id)] += 1
        return replace(one, outcomes=outcomes % len(one.names))

    other = redo(folder, without_it)
    assert other is not None
    assert other.utterance_id != longest.utterance_id


def test_ratings_and_labels_are_shown_where_they_are_near_the_truth(place: Workplace) -> None:
    """The same run as if it had predicted other targets: of ratings the better half will do."""
    folder = place.fit("linear", "optim.epochs=1")
    ids = read_predictions(folder / "predictions.csv").ids

    def rated(one: Predictions) -> Predictions:
        true = np.linspace(-1, 1, len(one.ids))[:, None]
        far = np.arange(len(one.ids))[:, None] % 2
        return replace(
            one, kind="regression", names=("mood",), references=true, outcomes=true + far
        )

    shown = redo(folder, rated)
    assert shown is not None
    number = ids.index(shown.utterance_id)
    assert number % 2 == 0
    value = np.linspace(-1, 1, len(ids))[number]
    assert shown.label == shown.predicted == f"mood {value:.2f}"

    def labelled(one: Predictions) -> Predictions:
        true = np.zeros((len(one.ids), 3), dtype=np.int64)
        true[:, 1:] = 1
        said = true.copy()
        said[ids.index(shown.utterance_id), 0] = 1
        return replace(
            one, kind="multilabel", names=("joy", "fear", "awe"), references=true, outcomes=said
        )

    other = redo(folder, labelled)
    assert other is not None
    assert other.utterance_id != shown.utterance_id
    assert other.label == other.predicted == "fear, awe"

    def silent(one: Predictions) -> Predictions:
        nothing = np.zeros((len(one.ids), 1), dtype=np.int64)
        return replace(one, kind="multilabel", names=("joy",), references=nothing, outcomes=nothing)

    third = redo(folder, silent)
    assert third is not None
    assert third.label == "no label"


def test_it_changes_nothing_in_the_model(place: Workplace) -> None:
    folder = place.fit("attention")
    path = folder / "checkpoints" / "best.ckpt"
    before = load_task(path)[0].state_dict()
    redo(folder, all_right)
    for name, value in load_task(path)[0].state_dict().items():
        assert torch.equal(value, before[name])
