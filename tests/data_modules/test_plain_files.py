"""YAML and JSON from outside: one exception for all that is wrong; errors as one short line."""

from __future__ import annotations

import pytest

from data_modules.errors import DataError
from data_modules.plain_json import parse_json
from data_modules.plain_yaml import YamlFileError, parse_yaml

BOMB = "b0: &b0 [1]\n" + "".join(f"b{k}: &b{k} [{f'*b{k - 1}, ' * 9}]\n" for k in range(1, 30))


def test_yaml_is_plain_values() -> None:
    found = parse_yaml("a: &x [1, 2.5, no]\nb: *x\nc: {<<: {d: e}}\n")
    assert found == {"a": [1, 2.5, False], "b": [1, 2.5, False], "c": {"d": "e"}}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "key a twice", 3),
        ("a: 1\nb: [", "expected the node content", 2),
        ("x: &a\n  y: *a\n", "a value that contains itself", 1),
        (BOMB, "more than 100000 values", 6),
        ("a: " + "[" * 2_000, "values within values too deep", None),
        ("a: 2001-99-99", "month must be in 1..12", None),
        ("a: !!timestamp x", "a value that cannot be read", None),
        ('a: 1\nb: "\\ud800"', "half of a character", 2),
        ("a: !!python/object:os.system {}", "could not determine a constructor", 1),
    ],
)
def test_what_is_wrong_with_yaml(text: str, problem: str, line: int | None) -> None:
    with pytest.raises(YamlFileError, match=problem) as caught:
        parse_yaml(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text", ['{"a": "ü"}', b'\xef\xbb\xbf{"a": "\xc3\xbc"}', '{"a": "\\u00fc"}']
)
def test_json_with_and_without_mark(text: str | bytes) -> None:
    assert parse_json(text) == {"a": "ü"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "too deep"),
        ('"\\ud800"', "half of a character"),
        (b'"\xed\xa0\x80"', "invalid continuation byte"),
        ('{"a": 1}'.encode("utf-16"), "can't decode"),
        ("9" * 5_000, "4300 digits"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_wrong_with_json(text: str | bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_json(text)


def test_an_error_is_one_short_line() -> None:
    error = DataError("a\nb", expected="x\0y", got="\ud800" + "z" * 10_000, fix="é 中 🙂")
    text = str(error)
    assert text.startswith("a\\nb: expected x\\x00y, got \\ud800zzz")
    assert text.endswith("zzz; é 中 🙂")
    assert "more ..." in text
    assert text.isprintable()
    assert len(text) < 700
