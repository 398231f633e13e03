"""Who may import whom, read from the source of both packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_modules", "sermm")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(path: Path, *, at_import_time: bool = False) -> Iterator[str]:
    """Full names that a file imports; of ``from a import b`` both ``a`` and ``a.b``.

    Args:
        path: A Python file.
        at_import_time: Leave out imports inside functions and for type checkers alone.
    """
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), str(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # a relative import would need resolving; the packages have none (a test below)
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if at_import_time:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                waiting += node.orelse
                continue
        waiting += ast.iter_child_nodes(node)


def loaded_by(path: Path) -> set[str]:
    """Modules of this project that importing a file loads, packages around them included."""
    own = module_name(path)
    found = set()
    for name in imports(path, at_import_time=True):
        parts = name.split(".")
        found |= {".".join(parts[: i + 1]) for i in range(len(parts))} & set(MODULES)
    # a package is being imported when its modules are, so it waits for none of them
    around = {own[:i] for i, letter in enumerate(own) if letter == "."}
    return found - around - {own}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """One cycle, first module repeated at the end; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for following in sorted(graph[name]):
            if cycle := visit(following, [*trail, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(graph) if (cycle := visit(name, []))), [])


def test_both_packages_are_read() -> None:
    assert {"data_modules.batch", "sermm.cli", "sermm.tasks.base"} <= set(MODULES)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_are_absolute_and_go_one_way(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    tops = {name.split(".")[0] for name in imports(path)}
    assert "tests" not in tops
    if path.is_relative_to(ROOT / "data_modules"):
        assert "sermm" not in tops


def test_there_are_no_import_cycles() -> None:
    graph = {name: loaded_by(path) for name, path in MODULES.items()}
    assert graph["sermm.tasks.text"] >= {"data_modules.batch", "sermm.nn.encoders"}
    assert not find_cycle(graph)


def test_a_cycle_would_be_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_imports_in_functions_wait(tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import one\nelse:\n    import two\n"
        "try:\n    import three\nexcept ImportError:\n    pass\n"
        "class A:\n    import four\n    def f(self):\n        import five.six\n"
    )
    assert set(imports(path, at_import_time=True)) == {
        "typing",
        "typing.TYPE_CHECKING",
        "two",
        "three",
        "four",
    }
    assert {"one", "five.six"} < set(imports(path))


# What a command needs before it knows that its input is right.
LIGHT = [
    "data_modules.errors",
    "data_modules.labels",
    "data_modules.manifest",
    "data_modules.protocols",
    "data_modules.selection",
    "sermm.__main__",
    "sermm.cli",
    "sermm.compose",
    "sermm.config",
    "sermm.inputs",
    "sermm.limits",
    "sermm.limits_corpus",
    "sermm.limits_network",
    "sermm.limits_speech",
    "sermm.limits_values",
]
HEAVY = {"torch", "torchaudio", "lightning", "transformers", "matplotlib", "torchmetrics", "wandb"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_load_nothing_heavy(name: str) -> None:
    """Also not through the modules that they load."""
    reached, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        waiting += loaded_by(MODULES[module])
        tops = {
            imported.split(".")[0] for imported in imports(MODULES[module], at_import_time=True)
        }
        assert not tops & HEAVY, f"{name} loads {module}"


def test_no_file_is_a_drawer_for_everything() -> None:
    names = {
        path.stem for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")
    }
    assert "batch" in names
    assert not names & {"utils", "util", "common", "helpers", "misc"}
