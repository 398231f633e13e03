"""Every parser over damaged files: read, or refused in one line that names the file.

``-m slow`` runs thousands of further cases of each. A failure names parser and case; to see it::

    run_cases(parser, folder, [case])
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from data_modules.errors import DataError
from tests.fuzz.corpora import CORPUS_PARSERS
from tests.fuzz.files import FILE_PARSERS
from tests.fuzz.media import MEDIA_PARSERS
from tests.fuzz.mutate import BINARY, JSON, TEXT, YAML, mutate
from tests.fuzz.run import Parser, run_cases
from tests.fuzz.runs import RUN_PARSERS

PARSERS = {
    parser.name: parser for parser in (*CORPUS_PARSERS, *FILE_PARSERS, *RUN_PARSERS, *MEDIA_PARSERS)
}
MANY = 5_000


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    parser = PARSERS[name]
    told = run_cases(parser, tmp_path, range(parser.cases))
    assert told.total() == parser.cases
    assert told["read"], "nothing but errors: the damage is too much to test what is read"


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_many_damaged_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    told = run_cases(PARSERS[name], tmp_path, range(10_000, 10_000 + MANY))
    assert told.total() == MANY


HARMLESS = {
    "line ends of Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "a mark of byte order": lambda data: b"\xef\xbb\xbf" + data,
    "an empty line at the end": lambda data: data.rstrip(b"\n") + b"\n\n",
    "no line end at the end": lambda data: data.rstrip(b"\n"),
}
# what these keep lines in has no header and no marks: an empty line is a row there
_ROWS_ARE_LINES = {"goemotions", "mosi_vectors"}
_WITH_TEXT = [
    parser.name
    for parser in CORPUS_PARSERS
    if parser.name not in ("mosei", "mosi", "mmsa_mosi", "pickle")
]


@pytest.mark.parametrize("what", HARMLESS)
@pytest.mark.parametrize("name", [*_WITH_TEXT, "manifest", "textgrid", "run"])
def test_what_means_nothing_changes_nothing(tmp_path: Path, name: str, what: str) -> None:
    parser = PARSERS[name]
    files = [path for path, kind in parser.write(tmp_path) if kind is not BINARY]
    sound = _comparable(parser.read(tmp_path))
    for path in dict.fromkeys(files):
        data = path.read_bytes()
        if what == "an empty line at the end" and name in _ROWS_ARE_LINES:
            continue
        path.write_bytes(HARMLESS[what](data))
        assert _comparable(parser.read(tmp_path)) == sound, path.name
        path.write_bytes(data)


def _comparable(result: Any) -> Any:
    if hasattr(result, "utterances"):
        # a line end in a quoted text stays what it is
        told = repr(result.utterances).replace(r"\r\n", r"\n")
        return told, result.exclusions, result.notes, result.stated_s
    if isinstance(result, tuple) and hasattr(result[0], "predictions"):
        run, history = result
        said = run.predictions
        return run.metrics, said.ids, said.references.tolist(), history.epochs.tolist()
    return result


@pytest.mark.parametrize("kind", [TEXT, JSON, YAML, BINARY])
def test_the_same_seed_does_the_same_damage(kind: Any) -> None:
    data = b'{"a": [1, 2.5], "b": "two words"}\nid\tx,y\n' * 9
    first = [mutate(random.Random(str(case)), data, kind) for case in range(300)]
    again = [mutate(random.Random(str(case)), data, kind) for case in range(300)]
    assert first == again
    assert sum(changed != data for changed, _ in first) > 250
    assert mutate(random.Random(0), b"", kind)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda data: int(data), ValueError),
        # errors themselves spell out what cannot be printed, and leave out what is too long
        (lambda data: _refuse("x:1\ny\ud800" * 9_999, "file"), None),
        (lambda data: _refuse("another place", "elsewhere"), AssertionError),
        (lambda data: [1 for _ in iter(int, 1)], BaseException),
    ],
)
def test_a_parser_that_breaks_the_rule_is_found(
    tmp_path: Path, answer: Any, complaint: type[BaseException] | None, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tests.fuzz.run.LIMIT_S", 0.2)

    def write(folder: Path) -> list[Any]:
        (folder / "file").write_bytes(b"12\n")
        return [(folder / "file", TEXT)]

    def read(folder: Path) -> Any:
        data = (folder / "file").read_bytes()
        return data if data == b"12\n" else answer(data)

    parser = Parser("broken", write, read)
    if complaint is None:
        assert run_cases(parser, tmp_path, range(20))["refused"]
        return
    with pytest.raises(AssertionError, match=r"broken, case [0-9]+: file after") as caught:
        run_cases(parser, tmp_path, range(60))
    assert isinstance(caught.value.__cause__, complaint)


def _refuse(got: str, where: str) -> None:
    raise DataError(where, expected="a number", got=got, fix="write one")
