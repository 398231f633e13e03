"""MMSA's files as corpora: ids, parts, scores, and one vector an utterance of each kind."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_modules.corpora.mmsa import MOSEI, MOSI
from data_modules.errors import CorpusNotFoundError, DataError
from data_modules.mmsa import convert_mmsa
from data_modules.prepare import prepare
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules.mmsa_pickle import MOSI_DIMS, feature_file


def release(folder: Path, data: Any) -> Path:
    root = folder / "release"
    root.mkdir()
    source = folder / "data.pkl"
    source.write_bytes(pickle.dumps(data))
    convert_mmsa(source, root / "mosi.h5")
    return root


def test_utterances_have_their_parts(tmp_path: Path) -> None:
    prepared = prepare(MOSI, release(tmp_path, feature_file()), tmp_path / "cache")
    assert [(u.id, u.part, u.labels["sentiment"]) for u in prepared.utterances] == [
        ("va$_$0", "train", 1.5),
        ("va$_$1", "train", -2.0),
        ("vb$_$0", "train", 0.0),
        ("vb$_$10", "train", 3.0),
        ("vc$_$0", "val", -0.25),
        ("vd$_$3", "val", pytest.approx(2.4)),
        ("ve$_$0", "test", -3.0),
    ]
    last = prepared.utterances[-1]
    assert (last.corpus, last.speaker, last.dialogue) == ("mmsa_mosi", "ve", "ve")
    assert (last.text, last.audio) == ("TEXT OF ve$_$0 Ω", None)
    (fold,) = make_folds(find_protocol("mmsa_mosi-standard"), prepared.utterances)
    assert (len(fold.train), len(fold.val), len(fold.test)) == (4, 2, 1)
    targets = [MOSI.schemes[3].target_of(utterance) for utterance in prepared.utterances]
    assert targets[:2] == [1, 0]


def test_vectors_are_means_over_real_steps(tmp_path: Path) -> None:
    data = feature_file()
    data["train"]["audio"][1, -1, 2] = -np.inf
    data["train"]["audio"][1, -2, 3] = np.nan
    data["train"]["vision"][2] = 0
    root = release(tmp_path, data)
    utterances = MOSI.read(root).utterances
    found = {
        kind: {name: (v, n) for name, v, n in MOSI.features[kind].read(root, utterances)}
        for kind in MOSI_DIMS
    }
    assert set(found["audio"]) == {utterance.id for utterance in utterances}
    # nothing but zeros: there is no vector, rather than a vector of zeros
    assert set(found["audio"]) - set(found["vision"]) == {"vb$_$0"}
    for part in data.values():
        for index, name in enumerate(part["id"]):
            for kind in ("audio", "vision"):
                if name not in found[kind]:
                    continue
                # the file has 1, 2, ... real steps at its end
                steps = part[kind][index][-(1 + index) :].astype(np.float64)
                expected = np.nan_to_num(steps, nan=0, posinf=0, neginf=0).mean(axis=0)
                vector, replaced = found[kind][name]
                assert vector.shape == (1, MOSI_DIMS[kind])
                assert vector.dtype == np.float32
                np.testing.assert_allclose(vector[0], expected, rtol=1e-5, atol=1e-6)
                assert replaced == (2 if (name, kind) == ("va$_$1", "audio") else 0)
            steps = part["text"][index][: 2 + index].astype(np.float64)
            np.testing.assert_allclose(
                found["text"][name][0][0], steps.mean(axis=0), rtol=1e-5, atol=1e-6
            )


def test_text_without_a_mask_is_trimmed(tmp_path: Path) -> None:
    data = feature_file()
    for part in data.values():
        del part["text_bert"]
    root = release(tmp_path, data)
    vectors = {n: v for n, v, _ in MOSI.features["text"].read(root, MOSI.read(root).utterances)}
    expected = data["train"]["text"][0][-1:].mean(axis=0)
    np.testing.assert_allclose(vectors["va$_$0"][0], expected, rtol=1e-6)


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    data = feature_file()
    data["train"]["id"] = ["va$_$0", "va_1", "vc$_$0", "vb$_$10"]
    data["train"]["regression_labels"][3] = np.nan
    data["train"]["raw_text"] = ["", "B", "C", "D"]
    del data["test"]
    root = release(tmp_path, data)
    found = MOSI.read(root)
    assert [(e.id, e.reason) for e in found.exclusions] == [
        ("mosi.h5 train[1]", "id that cannot be read"),
        ("vb$_$10", "score that is no number"),
        ("mosi.h5 valid[0]", "listed twice"),
    ]
    assert {(note.id, note.reason) for note in found.notes} == {
        ("va$_$0", "no transcript"),
        ("mosi.h5 test", "part that is not in the file"),
    }
    assert [utterance.id for utterance in found.utterances] == ["va$_$0", "vc$_$0", "vd$_$3"]
    # the features of an id are those of the entry whose score was taken
    vectors = {n: v for n, v, _ in MOSI.features["audio"].read(root, found.utterances)}
    assert set(vectors) == {"va$_$0", "vc$_$0", "vd$_$3"}
    expected = data["train"]["audio"][2][-3:].mean(axis=0)
    np.testing.assert_allclose(vectors["vc$_$0"][0], expected, rtol=1e-5)


def test_an_id_whose_first_score_is_none_is_not_used_at_all(tmp_path: Path) -> None:
    """Its features would be those of the first entry, beside the score of the second."""
    data = feature_file()
    data["train"]["id"][2] = "va$_$0"
    data["train"]["regression_labels"][0] = np.inf
    found = MOSI.read(release(tmp_path, data))
    assert "va$_$0" not in {utterance.id for utterance in found.utterances}
    assert [(e.id, e.reason) for e in found.exclusions] == [
        ("va$_$0", "score that is no number"),
        ("mosi.h5 train[2]", "listed twice"),
    ]


def test_values_beyond_32_bits_are_an_error(tmp_path: Path) -> None:
    data = feature_file()
    data["train"]["audio"][0, -1, 0] = 1e60
    root = release(tmp_path, data)
    with pytest.raises(DataError, match=r"train/audio, va\$_\$0: expected values that 32 bits"):
        list(MOSI.features["audio"].read(root, MOSI.read(root).utterances))


def test_other_folders_and_files_are_told(tmp_path: Path) -> None:
    root = tmp_path / "release"
    with pytest.raises(CorpusNotFoundError, match="sermm convert-mmsa"):
        MOSI.read(root)
    release(tmp_path, feature_file())
    with pytest.raises(DataError, match="expected 74 values in a step, as in MMSA's CMU-MOSEI"):
        MOSEI.read(root)
    with h5py.File(root / "other.h5", "w"):
        pass
    with pytest.raises(DataError, match=r"one \.h5 file, got mosi\.h5, other\.h5"):
        MOSI.read(root)
    (root / "mosi.h5").unlink()
    with pytest.raises(DataError, match="a file in format sermm-mmsa"):
        MOSI.read(root)
    (root / "other.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="expected an HDF5 file"):
        MOSI.read(root)
