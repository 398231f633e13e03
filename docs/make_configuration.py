"""Writes ``docs/configuration.md`` from the dataclasses in ``sermm/config.py``.

Meanings are the comments beside the keys, allowed values come from ``sermm/limits.py``. A test
compares the committed page with what this makes. Run it with ``python docs/make_configuration.py``.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from data_modules.atomic import write_text
from sermm.compose import load_config
from sermm.config import Config, result_keys, type_name, valid_keys
from sermm.limits import CHOICES, LISTS, POSITIVE, RANGES, REPEATING

PAGE = Path(__file__).with_name("configuration.md")
_ANY = 1000
"""A bound from here on only keeps nonsense out, and is not worth a reader's time."""

# Any is that of sizes alone
_TYPES = {
    "Any": "whole numbers of at least 1 or `all`",
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`true` or `false`",
}

_HEAD = """\
# Configuration

<!-- Made by docs/make_configuration.py from sermm/config.py and sermm/limits.py: change those. -->

An experiment is a file `experiments/NAME.yaml`. It may `include` fragments, one level deep, and
then states its difference. Overrides on the command line come last:

```bash
sermm config fusion_demo seed=1 optim.lr=5e-4 "plan.seeds=[0,1,2]"
make experiment NAME=fusion_demo SET="model.alignment=attention name=fusion_demo_learned"
```

`sermm config` prints the result, which is itself a file: `sermm experiment`, `fit`, `extract` and
`config` take its path in place of a name. Values are YAML; text needs no quotes. An unknown key, a
wrong type or a value that is not allowed is an error of one line that names the key and the nearest
right spelling. Nothing in a file can run code or refer to the environment.

Defaults below are those of the code. The fragments in `experiments/data/` and `experiments/model/`
state others where a corpus or a task needs them; `sermm config NAME` shows what holds.
"""


def meanings(schema: type) -> dict[str, str]:
    """The comment beside or above each key of a dataclass, by name of the key."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(schema).splitlines():
        text = line.strip()
        if text.startswith("# "):
            above.append(text.removeprefix("# "))
            continue
        name, colon, rest = text.partition(": ")
        if colon and name.isidentifier():
            beside = rest.partition("  # ")[2]
            text = " ".join([*above, *([beside] if beside else [])])
            found[name] = re.sub(r"\bNone\b", "`null`", text)  # as YAML spells it
        above = []
    return found


def _default(value: Any) -> str:
    if value == MISSING:
        return "required"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    return f"`{json.dumps(value)}`"


def _range(low: float, high: float, *, positive: bool) -> str:
    lowest = "more than 0" if positive else f"at least {low:g}"
    return lowest if high >= _ANY else f"{low:g} to {high:g}"


def allowed(key: str) -> str:
    """Type of a key, and which values of it are allowed."""
    kind = type_name(key)
    optional = " or `null`" if kind.endswith("| None") else ""
    kind = kind.removesuffix(" | None")
    if key in CHOICES:
        return ", ".join(f"`{choice}`" for choice in CHOICES[key])
    ranges = {name: (low, high) for name, low, high in RANGES}
    if key in ranges:
        bounds = _range(*ranges[key], positive=key in POSITIVE)
        return f"{_TYPES[kind]}, {bounds}{optional}"
    lists = {name: (lowest, may_be_empty) for name, lowest, may_be_empty in LISTS}
    if key in lists:
        lowest, may_be_empty = lists[key]
        rules = [] if key in REPEATING else ["each once"]
        rules += [] if lowest is None else [f"at least {lowest}"]
        each = ", ".join(rules)
        kind = f"list of {_TYPES[kind.removeprefix('list[').removesuffix(']')]}"
        return f"{kind}, {each}{'' if may_be_empty else ', not empty'}{optional}"
    return f"{_TYPES[kind]}{optional}"


def _rows(schema: type, prefix: str) -> Iterator[str]:
    said = meanings(schema)
    for spec in fields(schema):
        factory: Any = spec.default_factory
        if is_dataclass(factory):
            continue
        value = spec.default if factory is NO_DEFAULT else factory()
        key = f"{prefix}{spec.name}"
        # a bar would end the cell
        cells = (f"`{key}`", _default(value), said[spec.name], allowed(key))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _sections(schema: type, prefix: str) -> Iterator[tuple[str, type]]:
    """A dataclass and those inside it, each with the prefix of its keys."""
    yield prefix, schema
    for spec in fields(schema):
        inner: Any = spec.default_factory
        if is_dataclass(inner) and isinstance(inner, type):
            yield from _sections(inner, f"{prefix}{spec.name}.")


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for prefix, schema in _sections(Config, ""):
        title = f"`{prefix.rstrip('.')}`" if prefix else "The run itself"
        text = " ".join((inspect.getdoc(schema) or "").replace("``", "`").split())
        rows = "\n".join(_rows(schema, prefix))
        head = "| key | default | meaning | allowed |\n|---|---|---|---|"
        parts.append(f"## {title}\n\n{text}\n\n{head}\n{rows}\n")
    results = result_keys(load_config("fusion_demo"))
    where = ", ".join(f"`{key}`" for key in valid_keys() if key not in results)
    text = (
        "Every run stores a fingerprint of the keys that can change a result. A finished run is "
        "skipped if its fingerprint and its data are those of now; a run folder with another "
        "fingerprint is an error, never overwritten. These keys say where, how fast or which runs, "
        f"and are not in the fingerprint: {where}."
    )
    wrapped = textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
    parts.append(f"## What makes a run another run\n\n{wrapped}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(PAGE, page())
