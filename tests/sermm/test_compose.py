from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_modules.errors import ConfigError
from sermm.compose import experiment_names, find_experiment, from_dict, load_config
from sermm.config import Config, to_dict, to_yaml

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {
    "data": {"corpus": "demo", "labels": "iemocap4", "protocol": "demo-session5"},
    "model": {"task": "fusion"},
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write an experiment into a folder that is the working directory's; returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | dict[str, Any] = "", name: str = "mine") -> Path:
        path = Path("experiments") / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(BASE | text) if isinstance(text, dict) else text)
        return path

    return write


def base_with(extra: str) -> str:
    return yaml.safe_dump(BASE) + extra


# --- names and files


def test_name_is_the_files_unless_stated(write: Write) -> None:
    write({}, "first")
    write({"name": "other"}, "second")
    assert load_config("first").name == "first"
    assert load_config("second").name == "other"
    assert load_config("second", ["name=third"]).name == "third"
    assert load_config("experiments/first.yaml").name == "first"


def test_own_experiments_come_before_those_of_the_checkout(write: Write) -> None:
    write({"description": "own"}, "fusion_demo")
    assert load_config("fusion_demo").description == "own"
    assert "fusion_demo" in experiment_names()


def test_unknown_experiment_names_the_nearest(write: Write) -> None:
    write({}, "fusion_mine")
    with pytest.raises(ConfigError, match=r"did you mean fusion_mine\?"):
        find_experiment("fusion_mein")
    with pytest.raises(ConfigError, match=r"no experiments/qqqqq.yaml; list them with"):
        find_experiment("qqqqq")
    with pytest.raises(ConfigError, match=r"gone.yaml: expected a YAML file, got no file"):
        find_experiment("experiments/gone.yaml")


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("data:\n  corpus: [demo\n", r"mine.yaml:3", "expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", r"mine.yaml:2", "cannot start any token"),
        ("seed: 1\ndata: {}\nseed: 2\n", "mine.yaml:3", "key seed twice"),
        ("data:\n  corpus: a\n  corpus: b\n", "mine.yaml:3", "key corpus twice"),
        ("- a\n- b\n", "mine.yaml", "got list"),
        ("only text\n", "mine.yaml", "got str"),
    ],
)
def test_a_file_that_is_no_configuration(write: Write, text: str, where: str, problem: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_config("mine")
    assert caught.value.where == str(path.parent / where)
    assert problem in str(caught.value)


def test_a_file_that_is_no_text(write: Write) -> None:
    write().write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config("mine")


# --- keys


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("optim.lrr", "optim.lr"),
        ("model.recurent_hidden", "model.recurrent_hidden"),
        ("modle.task", "model.task"),
        ("data.batchsize", "data.batch_size"),
        # the right name in the wrong section
        ("lr", "optim.lr"),
        ("model.lr", "optim.lr"),
        ("trainer.epochs", "optim.epochs"),
        ("optim.seed", "seed"),
        ("demo.seed", "data.demo.seed"),
        ("text.frozen", "model.text.frozen"),
        ("data.seeds", "plan.seeds"),
    ],
)
def test_unknown_key_names_the_nearest(write: Write, key: str, nearest: str) -> None:
    path = write(base_with(f"{key}: 1\n"))
    message = rf"got unknown key {key}; did you mean {nearest}\?"
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("mine")
    assert caught.value.where == str(path)
    write({})
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("mine", [f"{key}=1"])
    assert caught.value.where == f"{key}=1"


def test_a_key_like_no_other(write: Write) -> None:
    write({})
    with pytest.raises(ConfigError, match=r"unknown key qqqqqq; see them with `sermm config NAME`"):
        load_config("mine", ["qqqqqq=1"])


@pytest.mark.parametrize("value", ["fusion", "", "{}"])
def test_a_section_is_no_value(write: Write, value: str) -> None:
    write(f"model: {value}\n")
    with pytest.raises(ConfigError, match="got section model; set one of its keys, such as model"):
        load_config("mine")


def test_a_value_is_no_section(write: Write) -> None:
    write({"seed": {"value": 1}})
    with pytest.raises(ConfigError, match=r"unknown key seed.value"):
        load_config("mine")


def test_dotted_keys_are_sections(write: Write) -> None:
    write(base_with("optim.lr: 0.5\n"))
    assert load_config("mine").optim.lr == 0.5
    write(base_with("optim.lr: 0.5\noptim: {lr: 0.25}\n"))
    with pytest.raises(ConfigError, match=r"mine.yaml: optim.lr: expected one value, got two"):
        load_config("mine")


@pytest.mark.parametrize("key", ["data.corpus", "data.labels", "data.protocol", "model.task"])
def test_required_keys(write: Write, key: str) -> None:
    section, leaf = key.split(".")
    others = {k: v for k, v in BASE[section].items() if k != leaf}
    path = write({section: others or {"dropout": 0.1}})
    with pytest.raises(ConfigError, match=rf"expected str, got nothing; state {key}") as caught:
        load_config("mine")
    assert caught.value.where == f"{path}: {key}"
    assert load_config("mine", [f"{key}={BASE[section][leaf]}"])


def test_required_keys_of_plain_data() -> None:
    with pytest.raises(ConfigError, match=r"some.ckpt: name: expected str, got nothing"):
        from_dict(BASE, "some.ckpt")


# --- values


@pytest.mark.parametrize(
    ("key", "value", "expected", "got"),
    [
        ("seed", "1.5", "int", "1.5"),
        ("seed", "one", "int", "'one'"),
        ("seed", "true", "int", "True"),
        ("seed", "null", "int", "None"),
        ("seed", "[1]", "int", "[1]"),
        ("optim.lr", "fast", "float", "'fast'"),
        ("optim.lr", "[", "float", "'['"),
        ("model.text.frozen", "5", "bool", "5"),
        ("model.text.frozen", "maybe", "bool", "'maybe'"),
        ("plan.seeds", "3", "list[int]", "3"),
        ("plan.seeds", "[a]", "list[int]", "['a']"),
        ("plan.seeds", "[1.5]", "list[int]", "[1.5]"),
        ("data.aligners", "[1]", "list[str]", "[1]"),
        ("data.cache", "null", "str", "None"),
    ],
)
def test_wrong_types(write: Write, key: str, value: str, expected: str, got: str) -> None:
    path = write(base_with(f"{key}: {value}\n") if value != "[" else base_with(f"{key}: '['\n"))
    for overrides, where in (([], f"{path}: {key}"), ([f"{key}={value}"], key)):
        if overrides:
            write({})
        with pytest.raises(ConfigError) as caught:
            load_config("mine", overrides)
        assert caught.value.where == where
        assert caught.value.expected == expected
        assert caught.value.got == got


def test_numbers_as_people_write_them(write: Write) -> None:
    write({})
    config = load_config("mine", ["optim.lr=1e-4", "optim.weight_decay=0", "size=500"])
    assert config.optim.lr == 1e-4
    assert config.optim.weight_decay == 0.0
    assert config.size == 500
    assert load_config("mine", ["size=null"]).size is None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("007", "007"),
        ("2024-01-02", "2024-01-02"),
        ("on", "on"),
        ("loss: what it is #1", "loss: what it is #1"),
        ("[a", "[a"),
        ("'quoted # text'", "quoted # text"),
        ("", ""),
    ],
)
def test_text_stays_as_it_is_written(write: Write, written: str, value: str) -> None:
    write({})
    assert load_config("mine", [f"description={written}"]).description == value


def test_null_is_nothing_where_nothing_is_allowed(write: Write) -> None:
    write({"tracking": {"entity": "me"}})
    assert load_config("mine").tracking.entity == "me"
    assert load_config("mine", ["tracking.entity=null"]).tracking.entity is None


def test_text_in_a_file_must_be_text(write: Write) -> None:
    write(base_with("description: 007\n"))
    with pytest.raises(ConfigError, match="expected str, got 7; put it in quotes"):
        load_config("mine")


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "a ${seed}", "???"])
def test_nothing_refers_to_anything_else(write: Write, value: str) -> None:
    write({"description": value})
    with pytest.raises(ConfigError, match="write the value itself"):
        load_config("mine")
    write({})
    with pytest.raises(ConfigError, match="write the value itself"):
        load_config("mine", [f"description={value}"])
    with pytest.raises(ConfigError, match="write the value itself"):
        load_config("mine", [f"data.aligners=['{value}']"])


def test_nothing_in_a_file_runs_code(write: Write) -> None:
    write(base_with("description: !!python/object/apply:os.getcwd []\n"))
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        load_config("mine")


def test_values_are_checked(write: Write) -> None:
    write({})
    with pytest.raises(ConfigError, match=r"model.task: expected one of .* did you mean fusion\?"):
        load_config("mine", ["model.task=fusoin"])
    with pytest.raises(ConfigError, match=r"optim.epochs: expected at least 1, got 0"):
        from_dict(BASE | {"name": "x", "optim": {"epochs": 0}}, "test")


# --- includes and order


def test_later_layers_win(write: Write) -> None:
    write("optim: {lr: 0.1, epochs: 1, patience: 1, weight_decay: 0.1}\n", "parts/one")
    write("optim: {lr: 0.2, epochs: 2, patience: 2}\n", "parts/two")
    write({"include": ["parts/one", "parts/two"], "optim": {"lr": 0.3, "epochs": 3}})
    optim = load_config("mine", ["optim.lr=0.4", "optim.lr=0.5"]).optim
    assert (optim.weight_decay, optim.patience, optim.epochs, optim.lr) == (0.1, 2, 3, 0.5)


def test_a_list_is_replaced_not_joined(write: Write) -> None:
    write("plan: {seeds: [0, 1, 2]}\n", "parts/seeds")
    write({"include": "parts/seeds", "plan": {"seeds": [5]}})
    assert load_config("mine").plan.seeds == [5]


def test_fragments_are_found_beside_the_file_and_in_the_checkout(
    write: Write, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "part.yaml").write_text("seed: 3\n")
    (elsewhere / "mine.yaml").write_text("include: [data/demo, model/fusion, part]\n")
    config = load_config(str(elsewhere / "mine.yaml"))
    assert (config.seed, config.data.corpus, config.model.task) == (3, "demo", "fusion")


def test_includes_go_one_level_deep(write: Write) -> None:
    inner = write("include: parts/deeper\n", "parts/one")
    write({"include": ["parts/one"]})
    with pytest.raises(ConfigError, match="one level deep") as caught:
        load_config("mine")
    assert caught.value.where == str(inner)


def test_missing_fragment(write: Write) -> None:
    write({"include": ["parts/gone"]})
    with pytest.raises(ConfigError, match=r"mine.yaml: include: .* got no parts/gone.yaml"):
        load_config("mine")


@pytest.mark.parametrize("includes", [None, 3, {"parts": "one"}, [1]])
def test_an_include_names_fragments(write: Write, includes: Any) -> None:
    write({"include": includes})
    with pytest.raises(ConfigError, match="a fragment, or a list of names"):
        load_config("mine")


def test_errors_in_a_fragment_name_the_fragment(write: Write) -> None:
    fragment = write("optim: {lrr: 1}\n", "parts/bad")
    write({"include": "parts/bad"})
    with pytest.raises(ConfigError, match=r"did you mean optim.lr\?") as caught:
        load_config("mine")
    assert caught.value.where == str(fragment)


@pytest.mark.parametrize("text", ["seed", "=1", "--=1"])
def test_an_override_is_a_key_and_a_value(write: Write, text: str) -> None:
    write({})
    with pytest.raises(ConfigError, match=r"expected key=value, got no '='") as caught:
        load_config("mine", [text])
    assert caught.value.where == text


def test_overrides_may_be_written_as_options(write: Write) -> None:
    write({})
    assert load_config("mine", ["--seed=4", " optim.epochs = 2 "]).seed == 4


# --- round trips


def changed_everywhere(write: Write) -> Config:
    write({})
    return load_config(
        "mine",
        [
            "name=007",
            "description=ä: b # c",
            "size=100",
            "data.aligners=[pocketsphinx, uniform]",
            "optim.lr=1e-05",
            "optim.text_lr=2e-5",
            "plan.folds=[0, 2]",
            "plan.sizes=[100, 500, all]",
            "model.text.name=some/model",
            "model.text.revision=1234567",
            "tracking.entity=null",
        ],
    )


def test_plain_data_is_read_again(write: Write) -> None:
    for config in (changed_everywhere(write), load_config("mine")):
        assert from_dict(to_dict(config), "test") == config


def test_yaml_is_read_again(write: Write, tmp_path: Path) -> None:
    for config in (changed_everywhere(write), load_config("mine")):
        path = tmp_path / "config.yaml"
        path.write_text(to_yaml(config), encoding="utf-8")
        assert load_config(str(path)) == config
        assert to_yaml(load_config(str(path))) == to_yaml(config)


# --- what ships


def test_every_shipped_experiment_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = sorted(Path("experiments").rglob("*.yaml"))
    experiments = [path for path in files if path.parent.name == "experiments"]
    fragments = [path for path in files if path.parent.name in ("data", "model", "trainer")]
    assert experiments
    assert fragments
    # a new kind of file needs a test of its own
    assert set(files) == {*experiments, *fragments, *Path("experiments/sweeps").rglob("*.yaml")}
    for path in experiments:
        config = load_config(path.stem)
        assert config == load_config(str(path))
        assert config.name == path.stem
        assert config.description, f"{path} does not say what it is for"


def test_fragments_state_known_keys_alone(write: Write) -> None:
    """Also those that need an experiment around them to be complete."""
    fragments = [
        path
        for path in (ROOT / "experiments").rglob("*.yaml")
        if path.parent.name in ("data", "model", "trainer")
    ]
    assert fragments
    for path in fragments:
        name = str(path.relative_to(ROOT / "experiments").with_suffix(""))
        # a fragment of a model states its task itself
        around = {k: v for k, v in BASE.items() if k != path.parent.name or k == "data"}
        # features that only some corpora come with
        needs = {"model/vectors": "data/mosi_vectors"} | {
            f"model/{model}": "data/mosei"
            for model in ("covarep", "pretrain_covarep", "scratch_covarep")
        }
        before = [needs[name]] if name in needs else []
        if before:
            around.pop("data")
        write(yaml.safe_dump({"include": [*before, name]} | around), "around")
        stated = ["model.vectors=[text]"] if name == "model/vectors" else []
        model = yaml.safe_load(path.read_text(encoding="utf-8")).get("model", {})
        if model.get("speech", {}).get("upstream") in ("huggingface", "tuned"):
            stated.append("model.speech.name=encoder")
        assert load_config("around", stated)


def test_nothing_slow_is_imported() -> None:
    slow = ("torch", "torchaudio", "numpy", "transformers", "lightning", "matplotlib", "wandb")
    code = (
        "import sys, sermm.compose, sermm.cli, sermm.limits\n"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
