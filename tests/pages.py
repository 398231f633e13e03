"""The project's Markdown pages taken apart: links, code blocks, tables, and what code they name."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import typer.main

from data_modules.corpora import find_corpus
from sermm.cli import app
from sermm.compose import find_experiment, load_config
from sermm.limits import WORD_SOURCES
from sermm.sweep.check import check_sweep
from sermm.sweep.file import read_sweep

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# a link or picture
_LINK = re.compile(r"\[[^\[\]]*\]\(([^()\s]+)\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_NEEDS = re.compile(r"#\s*needs: (.+)$")
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(*match.groups()) for match in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """A page without code blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def inline_code(text: str) -> list[str]:
    return _CODE.findall(prose(text))


def anchors(text: str) -> set[str]:
    """What a link to a heading of this page may say, as code hosts make it."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of the same or a higher level."""
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start is not None, f"no heading {title}"
    rest = text[start.end() :]
    # a comment in a code block begins with a sign of a heading
    inside = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), rest)
    end = re.search(rf"^#{{1,{len(start[1])}}} ", inside, re.MULTILINE)
    return rest if end is None else rest[: end.start()]


def rows(text: str) -> list[list[str]]:
    """Cells of the first table of a text, heading included."""
    lines = [line for line in prose(text).split("\n\n|", 1)[-1].split("\n") if line]
    found = []
    for line in [f"|{lines[0].lstrip('|')}", *lines[1:]]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        found.append([cell.strip().replace("\\|", "|") for cell in cells])
    assert len(found) > 2, f"no table in {text[:60]!r}"
    assert all(len(row) == len(found[0]) for row in found), found[0]
    return [found[0], *found[2:]]


def column(text: str, number: int = 0) -> list[str]:
    """One column of the first table of a text, without its heading and without backticks."""
    return [row[number].replace("`", "") for row in rows(text)[1:]]


def command_lines(text: str) -> Iterator[list[str]]:
    """Commands of the shell blocks of a page, split as a shell does."""
    for words, _ in marked_lines(text):
        yield words


def marked_lines(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each command of the shell blocks of a page, and what is said behind it that it needs."""
    for block in blocks(text):
        if block.language in ("bash", "sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if words := shlex.split(line.removeprefix("$ "), comments=True):
                    said = _NEEDS.search(line)
                    yield words, said[1].split(", ") if said else []


def inline_commands(text: str) -> Iterator[list[str]]:
    """Commands in running text."""
    for code in inline_code(text):
        if code.startswith(("sermm ", "make ")):
            yield shlex.split(code)


def targets() -> dict[str, str]:
    """Recipe of each target of the Makefile."""
    found = re.findall(r"^([a-z]+):(?!=).*\n((?:\t.*\n)*)", read(ROOT / "Makefile"), re.MULTILINE)
    return dict(found)


def made_names(text: str) -> set[str]:
    """Names of experiments that a page makes, by ``name=`` or by a sweep."""
    searched = re.findall(r"runs/sweeps/(\w+)/best\.yaml", text)
    return {*re.findall(r"\bname=(\w+)", text), *(f"{name}_best" for name in searched)}


def check_command(words: list[str], made: Collection[str] = ()) -> None:
    """Fail unless the code knows a command, its options, its experiments and its settings.

    Args:
        words: Of the command.
        made: Experiments that other commands of the page make.
    """
    program, *arguments = words
    if program == "make":
        _check_make(arguments)
    elif program == "sermm":
        _check_sermm(arguments, made)
    elif program in ("torchrun", "srun"):
        _check_sermm(arguments[arguments.index("sermm") + 1 :])
    elif program == "export":
        assert re.fullmatch(r"[A-Z_]+=\S+", arguments[0]), words
    elif program == "tests/slurm/cluster":
        assert f"{arguments[0]})" in read(ROOT / program).split(), words
    elif program == "wandb":
        assert arguments[0] in ("login", "sync", "agent", "leet"), words
    elif program == "python":
        assert (ROOT / arguments[0]).is_file(), words
    else:
        raise AssertionError(f"no test for the command {shlex.join(words)}")


def check_name(words: list[str]) -> None:
    """As :func:`check_command`, but where it holds a placeholder only its name is looked up."""
    if len(words) > 2 and not any(_PLACEHOLDER.search(word) for word in words[1:]):
        check_command(words)
    elif words[0] == "make":
        assert words[1] in targets(), words
    elif not words[1].startswith("-"):
        assert words[1] in _commands(), words


def made_of(arguments: list[str]) -> list[list[str]]:
    """Arguments of ``sermm`` in each line of the recipes that ``make`` with these runs."""
    known = targets()
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    found = []
    for target in (word for word in arguments if "=" not in word):
        for line in known[target].splitlines():
            if "$(BIN)/sermm " in line:
                text = line.partition("$(BIN)/sermm ")[2]
                filled = re.sub(r"\$\(([A-Z]+)\)", lambda m: values.get(m[1], ""), text)
                found.append(shlex.split(filled))
    return found


def _check_make(arguments: list[str]) -> None:
    known = targets()
    wanted = [word for word in arguments if "=" not in word]
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    assert wanted, "make without a target"
    for target in wanted:
        assert target in known, f"no target {target}"
        recipe = known[target]
        unused = values.keys() - {*re.findall(r"\$\(([A-Z]+)\)", recipe), "PYTHON"}
        assert not unused, f"make {target} does not read {unused}"
    for line in made_of(arguments):
        _check_sermm(line)


def _commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return group.commands  # type: ignore[return-value]


def _check_sermm(arguments: list[str], made_here: Collection[str] = ()) -> None:
    name, *rest = arguments
    assert name in _commands(), f"no command sermm {name}"
    given = _commands()[name].make_context(name, list(rest)).params
    made = str(given.get("name", "")).startswith("runs/")  # by a command before it
    if name == "sweep":
        check_sweep(read_sweep(given["name"]), given["overrides"] or [])
    elif "overrides" in given and given["name"] is not None and not made:
        load_config(given["name"], given["overrides"] or [])
    if "corpus" in given:
        find_corpus(given["corpus"])
    if given.get("aligner"):
        assert given["aligner"] in WORD_SOURCES[1:], "the corpus cannot be asked"
    for experiment in (*(given.get("names") or ()), given.get("first"), given.get("second")):
        if experiment is not None and experiment not in made_here:
            find_experiment(experiment)


def check_picture(svg: str) -> None:
    """Fail unless a picture can stand in a file of its own."""
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.get("width", "").isdecimal()
    assert root.get("aria-label")
    assert "var(" not in svg
    assert "<script" not in svg
    assert not re.search(r'(?:href|src)="(?!#|data:)', svg)
