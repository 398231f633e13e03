"""What README and the pages name exists: files, headings, commands, settings, experiments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from data_modules.corpora import CORPORA, SCHEMES
from data_modules.errors import SermmError
from docs.make_experiments import PAGE, page
from sermm.compose import experiment_names, load_config
from sermm.config import valid_keys
from sermm.scoring import find_scoring
from tests import pages

by_name = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
SECTIONS = ("data", "model", "optim", "trainer", "plan", "tracking")
# a setting in text is right if it is so for one of these
KINDS = (
    "fusion_demo",
    "acoustic_demo",
    "joint_demo",
    "finetune_demo",
    "superb_iemocap",
    "functionals_ravdess",
)
MADE_UP = ("studio", "additive", "fusion_bert_iemocap", "my_clips")
FILES = [
    path
    for folder in ("data_modules", "sermm", "experiments", "docs")
    for path in sorted((pages.ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".yaml", ".j2")
]
WORDS = {
    word
    for path in FILES
    for word in (path.stem, *re.findall(r"\w+", path.read_text(encoding="utf-8")))
}
# made up of parts where they are defined
_SCORES = [
    find_scoring(scheme.kind, scheme.names, scheme.family).metrics for scheme in SCHEMES.values()
]
WORDS |= {f"{place}_{what}" for place in ("speech", "speech2") for what in ("model", "features")}
WORDS |= {*SCHEMES, *CORPORA, *(name for metrics in _SCORES for name in metrics)}


def test_pages_are_found() -> None:
    assert {"README", "CONTRIBUTING", "data", "protocols", "files"} <= {p.stem for p in pages.PAGES}


@by_name
def test_links_lead_somewhere(page: Path) -> None:
    for link in pages.links(pages.read(page)):
        target, _, anchor = link.partition("#")
        if target.startswith(("https://", "mailto:")):
            continue
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in pages.anchors(pages.read(path)), f"{page.name} links to {link}"


def test_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in pages.links(pages.read(pages.README))}
    expected = {page.relative_to(pages.ROOT).as_posix() for page in pages.DOCS}
    assert len(expected) > 6
    assert expected <= linked


@by_name
def test_commands_of_code_blocks_are_right(page: Path) -> None:
    text = pages.read(page)
    for words in pages.command_lines(text):
        pages.check_command(words, pages.made_names(text))


@by_name
def test_commands_in_text_are_right(page: Path) -> None:
    for words in pages.inline_commands(pages.read(page)):
        pages.check_name(words)


def test_there_are_commands() -> None:
    found = [words for page in pages.PAGES for words in pages.command_lines(pages.read(page))]
    assert len(found) > 20
    assert ["make", "experiment", "NAME=fusion_demo"] in found
    assert sum(len(list(pages.inline_commands(pages.read(page)))) for page in pages.PAGES) > 20


@pytest.mark.parametrize(
    "line",
    [
        ["make", "experimnt", "NAME=fusion_demo"],
        ["make", "experiment", "NMAE=fusion_demo"],
        ["make", "experiment", "NAME=fusion_dmeo"],
        ["make", "experiment", "NAME=fusion_demo", "SET=optim.lrr=1"],
        ["make", "compare", "A=fusion_demo", "B=no_such"],
        ["sermm", "reprot", "fusion_demo"],
        ["sermm", "config", "fusion_demo", "--sed=1"],
        ["sermm", "prepare", "iemocap", "--rot", "x"],
        ["sermm", "prepare", "iemocapp", "--root", "x"],
        ["sermm", "align", "iemocap", "--aligner", "corpus"],
        ["python", "docs/make_nothing.py"],
        ["torchrun", "--nproc-per-node=2", "-m", "sermm", "fti", "fusion_demo"],
        ["srun", "sermm", "fit", "fusion_demo", "trainer.device=2"],
        ["tests/slurm/cluster", "strat", "slurm"],
        ["conda", "install", "sermm"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_would_be_seen(line: list[str]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        pages.check_command(line)
    usage = any(kind.__name__ in ("UsageError", "ClickException") for kind in caught.type.__mro__)
    assert usage or isinstance(caught.value, SermmError | AssertionError)


def accepts(name: str, settings: list[str]) -> bool:
    try:
        load_config(name, settings)
    except SermmError:
        return False
    return True


@by_name
def test_settings_in_text_are_right(page: Path) -> None:
    for code in pages.inline_code(pages.read(page)):
        first, *more = code.split()  # settings that need each other stand together
        match = re.fullmatch(rf"((?:{'|'.join(SECTIONS)})(?:\.\w+)+)(?:=(.+))?", first)
        if match is None or code.endswith((".py", ".tsv", ".safetensors", ".onnx")):
            continue
        key, value = match.groups()
        assert any(known == key or known.startswith(f"{key}.") for known in valid_keys()), code
        if value is not None and not re.search(r"\.\.\.|[A-Z]{2}", value):
            assert any(accepts(name, [first, *more]) for name in KINDS), code


@by_name
def test_yaml_blocks_are_right(page: Path, tmp_path: Path) -> None:
    for block in pages.blocks(pages.read(page)):
        if block.language != "yaml":
            continue
        if re.match(r"# (?!experiments/)\w+/\w+\.yaml\n", block.text):
            continue  # a file of the user's, with a test of its own
        place = re.match(r"# experiments/(\w+/)?(\w+)\.yaml\n", block.text)
        assert place is not None, "an example of a configuration says which file it is"
        tree = yaml.safe_load(block.text)
        if place[1]:
            assert set(_flat(tree)) <= set(valid_keys()), block.text
        else:
            path = tmp_path / f"{place[2]}.yaml"
            path.write_text(block.text, encoding="utf-8")
            assert load_config(str(path)).name == place[2]


def _flat(tree: dict[str, object], prefix: str = "") -> list[str]:
    keys = []
    for name, value in tree.items():
        inner = isinstance(value, dict)
        keys += _flat(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


@by_name
def test_files_in_text_exist(page: Path) -> None:
    folders = "data_modules|sermm|experiments|tests|docs|corpora|nn|tasks"
    for code in pages.inline_code(pages.read(page)):
        if not re.fullmatch(rf"(?:{folders})/[\w./]*", code) or re.search("[A-Z]{2}", code):
            continue
        if any(name in code for name in MADE_UP):
            continue
        places = (pages.ROOT, pages.ROOT / "data_modules", pages.ROOT / "sermm")
        assert any((place / code).exists() for place in places), f"{page.name} names {code}"


@by_name
def test_names_in_text_stand_in_the_code(page: Path) -> None:
    made = pages.made_names(pages.read(page))
    for code in pages.inline_code(pages.read(page)):
        if "_" not in code or not re.fullmatch(r"[A-Za-z_]\w*", code):
            continue
        # linear_ and _s stand for all names that begin or end so
        if re.fullmatch(r"\w+_|_[a-z]", code) or code.startswith(MADE_UP):
            continue
        assert code in WORDS or code in made, f"{page.name} names {code}"


def test_every_experiment_stands_on_its_page() -> None:
    text = pages.read(PAGE)
    assert page() == text, "run python docs/make_experiments.py"
    named = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    files = [path.stem for path in (pages.ROOT / "experiments").glob("*.yaml")]
    assert len(files) > 10
    assert sorted(named) == sorted(files) == experiment_names()


def test_readme_tells_what_names_of_experiments_begin_with() -> None:
    table = pages.section(pages.read(pages.README), "Run")
    told = re.findall(r"`(\w+_)\*`", table)
    untold = [name for name in experiment_names() if not name.startswith(tuple(told))]
    assert not untold


def test_readme_has_the_corpora() -> None:
    table = pages.section(pages.read(pages.README), "Prepare data")
    told = [name for cell in pages.column(table) for name in cell.replace("`", "").split(", ")]
    assert sorted(told) == sorted(CORPORA)


def test_readme_is_in_the_order_of_a_newcomer() -> None:
    titles = re.findall(r"^## (.+)$", pages.read(pages.README), re.MULTILINE)
    assert titles == [
        "First result",
        "Prepare data",
        "Run",
        "Read results",
        "Use a model",
        "Extend",
        "Layout and reading order",
        "Glossary",
        "Licence",
    ]
