"""``table.yaml``: which columns of a user's table hold what, and how its labels are to be read.

Every key that is not known, every column twice, every name that YAML reads as something else than
text is one line of error. The page docs/table.md tells the same to a reader.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from data_modules.corpora.release import is_file, not_found
from data_modules.errors import ManifestError
from data_modules.labels import ClassScheme, LabelScheme, RatingScheme, TagScheme, same_names
from data_modules.plain_yaml import YamlFileError, read_yaml

NAME = "table.yaml"
COLUMNS = (
    "id",
    "audio",
    "start_s",
    "end_s",
    "text",
    "speaker",
    "session",
    "dialogue",
    "part",
    "gender",
    "script",
)
"""Fields of an utterance that may have a column."""

FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
"""Kinds of tables, with what stands between their columns."""


@dataclass(frozen=True, slots=True)
class Classes:
    """One class a row; ``votes`` maps values to the columns that hold their numbers."""

    column: str
    scheme: ClassScheme
    votes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ratings:
    """One number a row and name; ``columns`` maps names to columns."""

    columns: Mapping[str, str]
    scheme: RatingScheme


@dataclass(frozen=True, slots=True)
class Tags:
    """Any number of labels a row, in one column."""

    column: str
    separator: str
    scheme: TagScheme


@dataclass(frozen=True, slots=True)
class Spec:
    """What ``table.yaml`` says.

    Attributes:
        path: The table.
        delimiter: Between its columns; empty for JSON lines.
        columns: Field of an utterance to name of its column.
        classes: None, or how classes are read; so with ``ratings`` and ``tags``.
    """

    path: Path
    delimiter: str
    columns: Mapping[str, str]
    classes: Classes | None = None
    ratings: Ratings | None = None
    tags: Tags | None = None

    @property
    def schemes(self) -> tuple[LabelScheme, ...]:
        """Label schemes, classes first."""
        found = (self.classes, self.ratings, self.tags)
        return tuple(one.scheme for one in found if one is not None)

    @property
    def all_columns(self) -> list[str]:
        """Every column that is read, once."""
        names = list(self.columns.values())
        if self.classes is not None:
            names += [self.classes.column, *self.classes.votes.values()]
        if self.ratings is not None:
            names += self.ratings.columns.values()
        if self.tags is not None:
            names.append(self.tags.column)
        return list(dict.fromkeys(names))


def read_spec(root: Path) -> Spec:
    """Read and check ``table.yaml``.

    Raises:
        CorpusNotFoundError: There is none in the folder.
        ManifestError: It is not as docs/table.md says.
    """
    path = root / NAME
    if not path.is_file():
        raise not_found("a table", root, f"{NAME} and the table that it describes")
    top = _Section(path, "", _load(path))
    top.expect_keys(("file", "columns"), ("delimiter", "classes", "ratings", "tags"))
    table, delimiter = _table(top, root)
    columns = top.section("columns")
    columns.expect_keys(("id",), COLUMNS)
    names = {key: columns.text(key) for key in columns.values}
    if not {"audio", "text"} & names.keys():
        columns.fail("audio", "a column of audio or of text", "neither", "name at least one")
    if ("start_s" in names) != ("end_s" in names) or ("start_s" in names and "audio" not in names):
        columns.fail("start_s", "audio, start_s and end_s together", "some", "name the others too")
    spec = Spec(
        table,
        delimiter,
        names,
        _classes(top.section("classes")) if "classes" in top.values else None,
        _ratings(top.section("ratings")) if "ratings" in top.values else None,
        _tags(top.section("tags")) if "tags" in top.values else None,
    )
    if not spec.schemes:
        top.fail("classes", "at least one of classes, ratings and tags", "none", "state the labels")
    return spec


def _table(top: _Section, root: Path) -> tuple[Path, str]:
    path = root / top.text("file")
    delimiter = FORMATS.get(path.suffix.lower())
    if delimiter is None:
        top.fail("file", f"one of {', '.join(FORMATS)}", path.name, "convert the table")
    if not is_file(path):
        top.fail("file", "the name of a table beside it", f"{path.name}, no file", "correct it")
    if "delimiter" in top.values:
        stated = top.values["delimiter"]
        if not delimiter or not isinstance(stated, str) or len(stated) != 1:
            top.fail("delimiter", "one character, for CSV or TSV", repr(stated), "correct it")
        delimiter = stated
    return path, delimiter


def _classes(section: _Section) -> Classes:
    section.expect_keys(("column", "names"), ("mapping", "left_out", "votes"))
    names = section.texts("names")
    mapping = same_names(*names) | section.pairs("mapping")
    left_out = section.pairs("left_out", empty_key=True)
    votes = section.pairs("votes")
    section.expect_among("mapping", mapping.values(), names)
    section.expect_among("votes", votes, [*mapping, *left_out])
    both = sorted(mapping.keys() & left_out.keys())
    if both:
        section.fail("left_out", "values that are no class", both[0], "remove it from one of both")
    scheme = ClassScheme(
        name="table_classes",
        names=tuple(names),
        source="category",
        mapping=mapping,
        left_out=left_out,
        votes="votes" if votes else "",
    )
    return Classes(section.text("column"), scheme, votes)


def _ratings(section: _Section) -> Ratings:
    section.expect_keys(("columns", "low", "high"), ())
    columns = section.pairs("columns")
    low, high = section.number("low"), section.number("high")
    if low >= high:
        section.fail("low", f"less than high ({high:g})", f"{low:g}", "correct them")
    scheme = RatingScheme(
        name="table_ratings",
        names=tuple(columns),
        sources=tuple(f"ratings.{name}" for name in columns),
        low=low,
        high=high,
    )
    dotted = [name for name in columns if "." in name]
    if dotted or not columns:
        got = dotted[0] if dotted else "none"
        section.fail("columns", "names without a dot, at least one", got, "correct them")
    return Ratings(columns, scheme)


def _tags(section: _Section) -> Tags:
    section.expect_keys(("column", "names"), ("mapping", "separator"))
    names = section.texts("names")
    mapping = same_names(*names) | section.pairs("mapping")
    section.expect_among("mapping", mapping.values(), names)
    separator = section.values.get("separator", ",")
    if not isinstance(separator, str) or not separator:
        section.fail("separator", "what stands between two tags", repr(separator), "correct it")
    scheme = TagScheme(name="table_tags", names=tuple(names), source="tags", mapping=mapping)
    return Tags(section.text("column"), separator, scheme)


def _load(path: Path) -> Any:
    try:
        return read_yaml(path)
    except YamlFileError as error:
        raise ManifestError(
            error.where(path), expected="YAML", got=error.problem, fix="correct it"
        ) from None


@dataclass(slots=True)
class _Section:
    """A part of the file, which knows its place for errors."""

    path: Path
    key: str
    given: Any
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.given, dict):
            self.fail("", "keys with values", repr(self.given)[:60], "see docs/table.md")
        self.values = {self._name("", key): value for key, value in self.given.items()}

    def fail(self, key: str, expected: str, got: str, fix: str) -> NoReturn:
        """Raise the error about one key."""
        name = ".".join(part for part in (self.key, key) if part)
        where = f"{self.path}: {name}" if name else self.path
        raise ManifestError(where, expected=expected, got=got, fix=fix)

    def expect_keys(self, required: Sequence[str], optional: Sequence[str]) -> None:
        known = list(dict.fromkeys((*required, *optional)))
        for key in self.values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                fix = f"write {near[0]}" if near else "remove it"
                self.fail(key, f"one of {', '.join(known)}", "an unknown key", fix)
        for key in required:
            if key not in self.values:
                self.fail(key, "a value", "nothing", "state it")

    def expect_among(self, key: str, values: Collection[str], known: Collection[str]) -> None:
        for value in values:
            if value not in known:
                self.fail(key, f"names among {', '.join(known)}", value, "correct it")

    def section(self, key: str) -> _Section:
        return _Section(self.path, f"{self.key}.{key}" if self.key else key, self.values[key])

    def text(self, key: str) -> str:
        name = self._name(key, self.values[key])
        return name if name else self.fail(key, "a name", "nothing", "state it")

    def texts(self, key: str) -> list[str]:
        """A list of different names."""
        given = self.values[key]
        if not isinstance(given, list) or not given:
            self.fail(key, "a list of names", repr(given)[:60], "write [one, two, ...]")
        names = [self._name(key, name) for name in given]
        twice = [name for name in names if names.count(name) > 1 or not name]
        if twice:
            self.fail(key, "each name once", f"{twice[0]!r} again", "correct the list")
        return names

    def pairs(self, key: str, *, empty_key: bool = False) -> dict[str, str]:
        """Names to names; none where the key is not there."""
        if key not in self.values:
            return {}
        section = self.section(key)
        if not empty_key and "" in section.values:
            section.fail("", "names", "an empty one", "correct it")
        return {name: section.text(name) for name in section.values}

    def number(self, key: str) -> float:
        value = self.values[key]
        if type(value) not in (int, float) or not abs(value) < 1e9:
            self.fail(key, "a number", repr(value)[:60], "correct it")
        return float(value)

    def _name(self, key: str, value: object) -> str:
        """A name; numbers are names too, but ``no`` and ``on`` are truth values to YAML."""
        if isinstance(value, str):
            return value
        if type(value) in (int, float):
            return str(value)
        got = f"{value!r} as YAML reads it"
        self.fail(key, "a name", got[:80], "put it in quotes")
