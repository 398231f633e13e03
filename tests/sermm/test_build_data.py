from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.align import choose_words
from data_modules.datamodule import EmotionDataModule
from data_modules.errors import AlignmentError, ConfigError, DataError
from data_modules.prepare import Prepared
from data_modules.selection import Selection
from data_modules.text import Tokenizer
from sermm.build_data import RunData, build_data, build_tokenizer
from sermm.compose import load_config
from sermm.config import Config
from sermm.stages import load_ready, make_ready, make_selection
from tests.sermm.workplace import Workplace


def build(place: Workplace, task: str, *overrides: str) -> tuple[RunData, Config, Selection]:
    config, prepared = ready(place, task, *overrides)
    selection = make_selection(config, prepared)
    return build_data(config, prepared, selection), config, selection


def ready(place: Workplace, task: str, *overrides: str) -> tuple[Config, Prepared]:
    name, *settings = place.settings(task, *overrides)
    config = load_config(name, settings)
    make_ready(config)
    return config, load_ready(config)


def ids(data: RunData, part: str) -> list[str]:
    return [u.id for u in getattr(data.module, part).utterances]


def test_the_parts_are_those_of_the_fold(place: Workplace) -> None:
    data, _, selection = build(place, "span", "fold=3")
    fold = selection.fold(3)
    assert data.fold == fold
    for part, expected in fold.parts().items():
        assert ids(data, part) == list(expected)
    sessions = {part: {name[3:5] for name in ids(data, part)} for part in fold.parts()}
    assert sessions == {"test": {"04"}, "val": {"05"}, "train": {"01", "02", "03"}}
    assert data.facts.names == ("neutral", "happy", "angry", "sad")
    assert data.facts.train_counts == (12, 12, 12, 12)
    assert data.facts.frame_dim == 20


def test_a_fold_that_does_not_exist(place: Workplace) -> None:
    with pytest.raises(ConfigError, match="fold: expected 0 to 4"):
        build(place, "linear", "fold=5")


def test_sizes_are_nested_and_leave_the_other_parts(place: Workplace) -> None:
    parts = {size: build(place, "linear", f"size={size}")[0] for size in ("12", "24", "null")}
    small, large, whole = (set(ids(data, "train")) for data in parts.values())
    assert small < large < whole
    assert (len(small), len(large), len(whole)) == (12, 24, 48)
    assert parts["12"].facts.train_counts == (3, 3, 3, 3)
    for part in ("val", "test"):
        assert ids(parts["12"], part) == ids(parts["null"], part)
    other = build(place, "linear", "size=12", "seed=1")[0]
    assert set(ids(other, "train")) != small
    with pytest.raises(ConfigError, match="size=49 in fold 0 of demo-session5: expected between 1"):
        build(place, "linear", "size=49")


def test_statistics_are_of_the_training_part_alone(place: Workplace) -> None:
    data, _, _ = build(place, "acoustic", "size=20")
    assert data.statistics is not None
    frames = np.concatenate([data.module.train[i].frames for i in range(20)]).astype(np.float64)
    np.testing.assert_allclose(data.statistics.mean, frames.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(data.statistics.std, frames.std(axis=0), rtol=1e-6)
    pooled = build(place, "linear", "size=20")[0].statistics
    assert pooled is not None
    assert pooled.mean.shape == (40,)


def test_a_vocabulary_from_scratch_knows_the_training_part_alone(place: Workplace) -> None:
    data, config, selection = build(place, "text")
    texts = [selection.utterances[name].text or "" for name in ids(data, "train")]
    assert data.facts.tokenizer == Tokenizer.train(texts, vocab_size=200).to_json()
    # each session has a word of its own, and fold 0 trains on 3, 4 and 5
    vocabulary = json.loads(data.facts.tokenizer)["backend"]["model"]["vocab"]
    assert "lovely" in vocabulary
    assert not [piece for piece in vocabulary if set(piece) & set("12")]
    everything = [selection.utterances[name] for name in selection.utterances]
    assert build_tokenizer(config, everything).to_json() != data.facts.tokenizer


def test_what_a_task_does_not_read_is_not_there(place: Workplace) -> None:
    acoustic, _, _ = build(place, "acoustic")
    assert (acoustic.facts.tokenizer, acoustic.text_model, acoustic.word_shares) == ("", None, {})
    assert acoustic.module.train[0].input_ids is None
    text, _, _ = build(place, "text")
    assert (text.facts.frame_dim, text.statistics, text.word_shares) == (0, None, {})
    assert text.module.train[0].frames is None
    attention, _, _ = build(place, "attention")
    assert attention.module.train[0].token_spans is None
    assert attention.word_shares == {}


def spans(module: EmotionDataModule) -> dict[str, list[list[int]]]:
    found = {}
    for sample in (module.train[i] for i in range(len(module.train))):
        assert sample.token_spans is not None
        found[sample.utterance_id] = sample.token_spans.tolist()
    return found


def test_words_have_their_frames(place: Workplace) -> None:
    data, _, selection = build(place, "span")
    assert data.word_shares == {"corpus": 1.0}
    for index, utterance in enumerate(data.module.train.utterances[:10]):
        sample = data.module.train[index]
        assert sample.token_spans is not None
        assert sample.frames is not None
        assert sample.word_mask is not None
        words, source = choose_words(selection.utterances[utterance.id], ["corpus"])
        assert source == "corpus"
        # hop 20 ms, window 25 ms: frame k has its centre at 20 k + 12.5 ms
        centers = [0.0125 + 0.02 * k for k in range(len(sample.frames))]
        expected = []
        for word in words:
            inside = [k for k, c in enumerate(centers) if word.start_s <= c < word.end_s]
            assert inside  # words here are longer than a frame
            expected.append((inside[0], inside[-1] + 1))
        found = [tuple(span) for span in sample.token_spans[sample.word_mask].tolist()]
        # pieces of a word follow each other
        assert [span for span, _ in groupby(found)] == expected


def test_shuffled_times_are_a_control(place: Workplace) -> None:
    honest, _, _ = build(place, "span")
    control, _, _ = build(place, "span", "data.shuffle_word_times=true")
    again, _, _ = build(place, "span", "data.shuffle_word_times=true")
    other, _, _ = build(place, "span", "data.shuffle_word_times=true", "seed=1")
    before, after = spans(honest.module), spans(control.module)
    assert after == spans(again.module)
    assert after != spans(other.module)
    moved = [name for name in before if before[name] != after[name]]
    # an utterance of two words keeps its order half of the time
    assert len(moved) > len(before) / 2


def test_too_many_pieces_are_refused_and_not_cut(place: Workplace) -> None:
    with pytest.raises(DataError, match=r"demo Ses.*: expected at most 4 word pieces"):
        build(place, "text", "data.max_pieces=4")


def test_words_without_times_are_refused(place: Workplace) -> None:
    config, prepared = ready(place, "span")
    bare = [replace(u, words=()) for u in prepared.utterances]
    silent = replace(prepared, utterances=bare)
    with pytest.raises(AlignmentError, match=r"expected word times from corpus \(data\.aligners\)"):
        build_data(config, silent, make_selection(config, silent))


def test_centred_frames_have_no_level(place: Workplace) -> None:
    data, _, _ = build(place, "acoustic", "model.speech.center=utterance")
    for index in range(5):
        frames = data.module.test[index].frames
        assert frames is not None
        torch.testing.assert_close(frames.mean(dim=0), torch.zeros(20), atol=1e-5, rtol=0)


def test_the_cache_need_not_be_where_it_was(place: Workplace, tmp_path: Path) -> None:
    data, _, _ = build(place, "linear", f"data.cache={tmp_path / 'other'}")
    same, _, _ = build(place, "linear")
    torch.testing.assert_close(data.module.test[3].frames, same.module.test[3].frames)


def test_a_run_that_is_said_to_be_ready_and_is_not(place: Workplace) -> None:
    """A child of a plan whose cache was cleared meanwhile."""
    cache = place.folder / "cleared"
    arguments = place.settings("linear", f"data.cache={cache}")
    place.sermm("extract", *arguments)
    shutil.rmtree(cache / "features")
    said = place.sermm("fit", "--ready", *arguments)
    assert said.status == 2
    assert "sermm extract" in said.err
    shutil.rmtree(cache)
    said = place.sermm("fit", "--ready", *arguments)
    assert said.status == 2
    assert "run `sermm prepare demo --root DIR`" in said.err
