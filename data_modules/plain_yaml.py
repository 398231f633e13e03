"""YAML as people write it by hand: plain values, each key once, no larger when read than it looks.

PyYAML keeps the last of two equal keys without a word, and a kilobyte of anchors within anchors
becomes gigabytes as soon as somebody prints it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MAX_NODES = 100_000
"""Values of a file, those behind an alias counted each time."""


class YamlFileError(Exception):
    """What is wrong with a text, and in which line where that is known.

    Attributes:
        problem: In a few words.
        line: From 1; None where nobody knows.
    """

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line

    def where(self, path: Path) -> str:
        """``file:line``, or the file."""
        return str(path) if self.line is None else f"{path}:{self.line}"


def read_yaml(path: Path) -> Any:
    """Read a file.

    Raises:
        YamlFileError: It is no UTF-8, or as :func:`parse_yaml`.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise YamlFileError("text that is not UTF-8", line) from None
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Read a text: text, numbers, truth values, dates, lists and mappings.

    Raises:
        YamlFileError: It is no YAML, names a Python object, has a key twice, a value that contains
            itself, or more than ``MAX_NODES`` values.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise YamlFileError("values within values too deep", None) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        line = None if mark is None else mark.line + 1
        raise YamlFileError(" ".join(str(problem).split()), line) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # the constructors of dates and of values with a tag, such as `!!int x`
        raise YamlFileError(f"a value that cannot be read ({error})", None) from None


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values in a node; raises for what a file may not hold."""
    place = id(node)
    if place in known:
        if not known[place]:
            raise YamlFileError("a value that contains itself", node.start_mark.line + 1)
        return known[place]
    known[place] = 0
    total = 1
    if isinstance(node, yaml.ScalarNode):
        if not node.value.isascii() and node.value.encode("utf-8", "ignore").decode() != node.value:
            raise YamlFileError("half of a character", node.start_mark.line + 1)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise YamlFileError(f"key {key.value} twice", key.start_mark.line + 1)
                keys.add(key.value)
            total += _count(key, known) + _count(value, known)
    else:
        total += sum(_count(item, known) for item in node.value)
    if total > MAX_NODES:
        raise YamlFileError(f"more than {MAX_NODES} values", node.start_mark.line + 1)
    known[place] = total
    return total
