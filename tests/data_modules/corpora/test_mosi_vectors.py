"""Utterance vectors of MOSI: rows and vectors are joined by place, and every odd cell is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora import mosi_vectors
from data_modules.corpora.release import Release
from data_modules.errors import CorpusNotFoundError, DataError, ManifestError
from data_modules.prepare import prepare
from data_modules.protocols import find_protocol, make_folds

CORPUS = mosi_vectors.CORPUS
DIMS = {"text": 100, "audio": 73, "video": 100}
HEAD = "segment_id\tvideo_id\tstart\tend\tscore\tofficial_fold\ttext\n"
ROWS = (
    "b_1\tb\t0.0\t1.5\t2.6000\ttrain\tGOOD\n",
    "a_2\ta\t1.0\t2.5\t-1.0000\ttest\tBAD \n",
    "a_1\ta\t3.0\t4.5\t0.0000\ttest\tSO SO\n",
)


def vectors(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).round(4)


def write(folder: Path, rows: tuple[str, ...] = ROWS, part: str = "train", seed: int = 0) -> Path:
    (folder / "features").mkdir(parents=True, exist_ok=True)
    (folder / f"segments_{part}.tsv").write_text(HEAD + "".join(rows), encoding="utf-8")
    for kind, dim in DIMS.items():
        lines = [",".join(map(str, vector)) for vector in vectors(len(rows), dim, seed)]
        (folder / "features" / f"{kind}_{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


def found(root: Path, kind: str, release: Release) -> dict[str, np.ndarray]:
    read = list(CORPUS.features[kind].read(root, release.utterances))
    assert [replaced for _, _, replaced in read] == [0] * len(read)
    assert len({name for name, _, _ in read}) == len(read)
    return {name: values for name, values, _ in read}


def test_rows_and_vectors_are_joined_by_place(tmp_path: Path) -> None:
    root = write(tmp_path)
    release = mosi_vectors.read(root)
    assert [utterance.id for utterance in release.utterances] == ["a_1", "a_2", "b_1"]
    first = release.utterances[1]
    assert (first.speaker, first.dialogue, first.text, first.part) == ("a", "a", "BAD", None)
    assert first.labels == {"sentiment": -1.0, "official_fold": "test"}
    assert (first.audio, first.start_s) == (None, None)
    for kind, dim in DIMS.items():
        read = found(root, kind, release)
        expected = vectors(3, dim).astype(np.float32)
        for place, name in enumerate(("b_1", "a_2", "a_1")):
            assert read[name].shape == (1, dim)
            assert read[name].dtype == np.float32
            np.testing.assert_array_equal(read[name][0], expected[place])
    files = CORPUS.features["audio"].files(root)
    assert [path.name for path in files] == ["segments_train.tsv", "audio_train.csv"]


def test_labels_and_what_the_vectors_have_seen() -> None:
    assert [scheme.name for scheme in CORPUS.schemes] == [
        "mosi_vectors_sentiment",
        "mosi_vectors7",
        "mosi_vectors2_has0",
        "mosi_vectors2_non0",
    ]
    assert CORPUS.features["audio"].exposure == ""
    for kind in ("text", "video"):
        assert "trained with the labels" in CORPUS.features[kind].exposure
        assert "\n" not in CORPUS.features[kind].exposure


def test_every_part_that_is_there_is_read(tmp_path: Path) -> None:
    root = write(tmp_path)
    write(
        tmp_path, ("c_1\tc\t0\t1\t1\ttest\tC\n", "a_1\ta\t0\t1\t1\ttest\tAGAIN\n"), "test", seed=5
    )
    release = mosi_vectors.read(root)
    assert [u.id for u in release.utterances] == ["a_1", "a_2", "b_1", "c_1"]
    assert [(e.id, e.reason) for e in release.exclusions] == [
        ("segments_train.tsv:4", "listed twice")
    ]
    read = found(root, "audio", release)
    # the parts are read by name: of a_1 the part `test` was first
    np.testing.assert_array_equal(read["a_1"][0], vectors(2, 73, 5).astype(np.float32)[1])
    np.testing.assert_array_equal(read["b_1"][0], vectors(3, 73).astype(np.float32)[0])


def test_odd_rows_are_listed_and_keep_their_place(tmp_path: Path) -> None:
    rows = (
        "a_1\ta\t0\t1\tgood\ttest\tNO SCORE\n",
        "a_2\ta\n",
        "\ta\t0\t1\t1\ttest\tNO NAME\n",
        "a_1\ta\t0\t1\t1\ttest\tTWICE\n",
        "a_3\ta\t0\t1\tinf\ttest\tNO END\n",
        "a_4\ta\t0\t1\t-0.5\ttest\t\n",
    )
    root = write(tmp_path, rows)
    release = mosi_vectors.read(root)
    assert [(e.id, e.reason) for e in release.exclusions] == [
        ("a_1", "score that is no number"),
        ("segments_train.tsv:3", "row that cannot be read"),
        ("segments_train.tsv:4", "row that cannot be read"),
        ("segments_train.tsv:5", "listed twice"),
        ("a_3", "score that is no number"),
    ]
    assert [(note.id, note.reason) for note in release.notes] == [("a_4", "no transcript")]
    read = found(root, "text", release)
    assert list(read) == ["a_4"]
    np.testing.assert_array_equal(read["a_4"][0], vectors(6, 100).astype(np.float32)[5])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,2,3", "expected 73 finite numbers, got 3 values"),
        (",".join(["1"] * 72 + ["x"]), "got 'x' in column 73"),
        (",".join(["nan"] + ["1"] * 72), "got 'nan' in column 1"),
        (",".join(["1", "-inf"] + ["1"] * 71), "got '-inf' in column 2"),
        (",".join(["1", "1e39"] + ["1"] * 71), "got '1e39' in column 2"),
        ("", "got 1 values"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, line: str, told: str) -> None:
    root = write(tmp_path)
    release = mosi_vectors.read(root)
    path = root / "features" / "audio_train.csv"
    lines = path.read_text().splitlines()
    lines[1] = line
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ManifestError, match=r"features/audio_train\.csv:2: ") as caught:
        list(CORPUS.features["audio"].read(root, release.utterances))
    assert told in str(caught.value)


def test_another_number_of_rows_is_an_error(tmp_path: Path) -> None:
    root = write(tmp_path)
    release = mosi_vectors.read(root)
    path = root / "features" / "video_train.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(ManifestError, match=r"video_train\.csv: expected 3 rows.*, got 2;"):
        mosi_vectors.read(root)
    with pytest.raises(ManifestError, match=r"video_train\.csv: expected 3 rows.*, got 2;"):
        list(CORPUS.features["video"].read(root, release.utterances))


def test_a_missing_kind_is_noted(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / "features" / "video_train.csv").unlink()
    release = mosi_vectors.read(root)
    assert release.counts == {"vectors that are not there": 1}
    assert not found(root, "video", release)


def test_other_tables_and_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"segments_train\.tsv and features/"):
        mosi_vectors.read(tmp_path)
    (tmp_path / "segments_train.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(
        ManifestError, match=r"segments_train\.tsv:1: expected the columns segment_id"
    ):
        mosi_vectors.read(tmp_path)


TEXT = HEAD + "".join(ROWS)


@settings(max_examples=200)
@given(
    st.sampled_from(["segments_train.tsv", "features/audio_train.csv"]),
    st.floats(0, 1),
    st.integers(0, 9),
    st.binary(max_size=5),
)
def test_a_mutated_file_is_read_or_told(
    tmp_path: Path, name: str, place: float, length: int, new: bytes
) -> None:
    root = write(tmp_path)
    data = (root / name).read_bytes()
    start = round(place * len(data))
    (root / name).write_bytes(data[:start] + new + data[start + length :])
    try:
        release = mosi_vectors.read(root)
        read = found(root, "audio", release)
    except DataError:
        return
    listed = len(release.exclusions)
    assert len(release.utterances) + listed == len(_rows(root / "segments_train.tsv"))
    assert set(read) == {utterance.id for utterance in release.utterances}
    assert all(np.isfinite(values).all() for values in read.values())


def _rows(path: Path) -> list[bytes]:
    lines = path.read_bytes().split(b"\n")[1:]
    return lines if lines and lines[-1].strip() else lines[:-1]


@pytest.mark.real
def test_the_real_part(tmp_path: Path, shared_data: Path) -> None:
    root = shared_data / "mosi"
    prepared = prepare(CORPUS, root, tmp_path)
    assert len(prepared.utterances) == 1447
    assert not prepared.exclusions
    assert not prepared.notes
    scores = [utterance.labels["sentiment"] for utterance in prepared.utterances]
    assert Counter(np.sign(scores).tolist()) == {-1.0: 738, 0.0: 65, 1.0: 644}
    assert len({utterance.speaker for utterance in prepared.utterances}) == 62
    for kind in DIMS:
        assert len(list(CORPUS.features[kind].read(root, prepared.utterances))) == 1447
    folds = make_folds(find_protocol("mosi_vectors-speaker5"), prepared.utterances)
    assert sum(len(fold.test) for fold in folds) == 1447


@pytest.mark.real
def test_real_text_vectors_know_the_answer(shared_data: Path) -> None:
    """The exposure that is printed is real: a linear classifier fits 98 % of the text vectors."""
    from sklearn.linear_model import LogisticRegression

    root = shared_data / "mosi"
    utterances = mosi_vectors.read(root).utterances
    labels = {u.id: u.labels["sentiment"] >= 0 for u in utterances}
    names, values = zip(
        *[(n, v[0]) for n, v, _ in CORPUS.features["text"].read(root, utterances)], strict=True
    )
    target = [labels[name] for name in names]
    model = LogisticRegression(max_iter=500).fit(np.array(values), target)
    assert model.score(np.array(values), target) == pytest.approx(0.98, abs=0.01)
