from __future__ import annotations

import inspect
import subprocess
import sys
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from data_modules.errors import ConfigError
from sermm import config as config_module
from sermm.config import (
    Config,
    DataConfig,
    ModelConfig,
    fingerprint,
    needs_speech,
    needs_text,
    needs_word_times,
    result_keys,
    to_dict,
    type_name,
    valid_keys,
    value_of,
)
from sermm.limits import CHOICES, LISTS, POSITIVE, RANGES, validate

# Where a run stands, how fast it goes and which runs there are: no result depends on these.
NOT_RESULTS = {
    "name",
    "description",
    "runs",
    "fold",
    "seed",
    "size",
    "data.root",
    "data.cache",
    "data.eval_batch_size",
    "data.num_workers",
    "extract.batch_seconds",
    "extract.workers",
    "extract.devices",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_steps",
    "plan.folds",
    "plan.seeds",
    "plan.sizes",
    "plan.runs_per_gpu",
    "plan.workers",
    "tracking.wandb",
    "tracking.project",
    "tracking.entity",
    "tracking.examples",
    "tracking.tensorboard",
}


def valid_config() -> Config:
    return Config(
        name="x",
        data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
        model=ModelConfig(task="fusion"),
    )


def changed(key: str, value: Any) -> Config:
    config = valid_config()
    *sections, leaf = key.split(".")
    owner: Any = config
    for section in sections:
        owner = getattr(owner, section)
    setattr(owner, leaf, value)
    return config


def other_value(key: str) -> Any:
    """A value of the right type that is not the present one."""
    value, kind = value_of(valid_config(), key), type_name(key)
    if kind == "bool":
        return not value
    if kind.startswith("int"):
        return (value or 0) + 1
    if kind.startswith("float"):
        return (value or 0.0) + 0.5
    if kind.startswith("list"):
        return [*(value or []), "more" if "str" in kind else 7]
    assert kind.startswith("str"), f"{key} has a type this test does not know: {kind}"
    return f"{value}-other"


def test_keys_are_the_leaves_of_the_tree() -> None:
    def leaves(tree: dict[str, Any], prefix: str = "") -> list[str]:
        found = []
        for name, value in tree.items():
            nested = leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else None
            found += nested or [f"{prefix}{name}"]
        return found

    assert valid_keys() == leaves(to_dict(valid_config()))
    assert len(valid_keys()) == len(set(valid_keys())) > 50


@pytest.mark.parametrize(
    "schema",
    [
        value
        for value in vars(config_module).values()
        if is_dataclass(value) and value.__module__ == config_module.__name__
    ],
)
def test_every_key_says_what_it_means(schema: type) -> None:
    assert schema.__doc__
    lines = inspect.getsource(schema).splitlines()
    for spec in fields(schema):
        if is_dataclass(spec.default_factory):
            continue  # a section, whose class says it
        (number,) = (i for i, line in enumerate(lines) if line.strip().startswith(f"{spec.name}: "))
        beside = lines[number].partition("  # ")[2]
        above = lines[number - 1].strip()
        assert len(beside) > 3 or above.startswith("# "), f"{schema.__name__}.{spec.name}"


@pytest.mark.parametrize("key", valid_keys())
def test_fingerprint_follows_exactly_what_a_result_depends_on(key: str) -> None:
    before, after = valid_config(), changed(key, other_value(key))
    assert value_of(before, key) != value_of(after, key)
    assert (fingerprint(before) == fingerprint(after)) is (key in NOT_RESULTS)
    assert (key in result_keys(before)) is (key not in NOT_RESULTS)


def test_keys_that_are_no_results_exist() -> None:
    assert set(valid_keys()) >= NOT_RESULTS


def test_fingerprint_is_the_same_in_every_process() -> None:
    code = "import test_config as t; print(t.fingerprint(t.valid_config()))"
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert prints == {fingerprint(valid_config())}


def test_to_dict_is_a_copy() -> None:
    config = valid_config()
    tree = to_dict(config)
    before = deepcopy(tree)
    tree["plan"]["seeds"].append(5)
    assert to_dict(config) == before


@pytest.mark.parametrize(("key", "low", "high"), RANGES)
def test_ranges(key: str, low: float, high: float) -> None:
    for bound, beyond in ((low, low - 1), (high, high + 1)):
        if not (bound == 0 and key in POSITIVE) and key != "model.text.hidden":
            config = changed(key, bound)
            config.model.text.hidden = 1000 * config.model.text.heads
            config.model.task = "acoustic"  # the only one that takes every key
            if key == "model.pretrain.span_min":
                config.model.pretrain.span_max = bound
            validate(config)
        with pytest.raises(ConfigError) as caught:
            validate(changed(key, beyond))
        assert caught.value.where == key
        assert caught.value.got == str(beyond)
    if "float" in type_name(key):
        with pytest.raises(ConfigError, match="got nan"):
            validate(changed(key, float("nan")))


@pytest.mark.parametrize(
    "setting",
    [("speech", "center", "level"), ("speech", "trim_db", 30.0), ("augment", "band_warp", 0.1)],
)
def test_what_needs_mel_bands_says_so(setting: tuple[str, str, object]) -> None:
    section, name, value = setting
    config = valid_config()
    setattr(getattr(config.model, section), name, value)
    validate(config)
    config.model.speech.upstream = "mfcc"
    with pytest.raises(ConfigError, match="expected features with mel bands") as caught:
        validate(config)
    assert caught.value.where == f"model.{section}.{name}"


def test_stretched_clips_have_no_word_times() -> None:
    config = changed("model.augment.time_stretch", 0.1)
    config.model.task = "fusion"
    with pytest.raises(ConfigError, match="expected 0 where word times say"):
        validate(config)
    config.model.alignment = "attention"
    validate(config)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"channels": [8, 8]}, "channels"),
        ({"channels": [8, 9, 8], "kernels": [1, 1, 1], "dilations": [1, 1, 1]}, "channels"),
        ({"kernels": [5, 3, 1]}, "kernels"),
        ({"kernels": [5, 3, 2, 3, 1]}, "kernels"),
        ({"dilations": [1, 2]}, "dilations"),
        ({"scale": 3}, "channels"),
    ],
)
def test_sizes_of_ecapa_go_together(settings: dict[str, Any], where: str) -> None:
    config = valid_config()
    for name, value in settings.items():
        setattr(config.model.ecapa, name, value)
    validate(config)
    config.model.pooling = "ecapa"
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert caught.value.where == f"model.ecapa.{where}"


def test_words_need_a_recurrent_layer() -> None:
    config = changed("model.recurrent_layers", 0)
    config.model.task = "acoustic"
    validate(config)
    config.model.task = "fusion"
    with pytest.raises(ConfigError, match="expected at least 1 where a BiGRU reads words"):
        validate(config)
    config.model.alignment = "none"
    validate(config)


def test_sources_of_word_times_are_known() -> None:
    with pytest.raises(ConfigError, match=r"data\.aligners: expected one of corpus"):
        validate(changed("data.aligners", ["corpus", "pocketsfinx"]))


@pytest.mark.parametrize("key", POSITIVE)
def test_rates_are_not_zero(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected more than 0, got 0"):
        validate(changed(key, 0.0))
    validate(changed(key, 1e-9))


def test_an_optional_number_may_be_absent() -> None:
    for key in ("size", "optim.text_lr", "plan.folds"):
        validate(changed(key, None))


def test_every_number_has_a_range() -> None:
    numbers = {k for k in valid_keys() if type_name(k).startswith(("int", "float"))}
    assert numbers == {key for key, _, _ in RANGES}
    lists = {k for k in valid_keys() if type_name(k).startswith("list")}
    assert lists == {key for key, _, _ in LISTS}


@pytest.mark.parametrize(("key", "choices"), CHOICES.items())
def test_choices(key: str, choices: tuple[str, ...]) -> None:
    for choice in choices:
        where = ""
        try:
            validate(changed(key, choice))
        except ConfigError as error:
            where = error.where  # allowed, but another key does not go with it
        assert where != key
    with pytest.raises(ConfigError, match=f"expected one of {choices[0]}, ") as caught:
        validate(changed(key, f"{choices[-1]}x"))
    assert caught.value.where == key
    assert caught.value.fix == f"did you mean {choices[-1]}?"
    with pytest.raises(ConfigError, match="choose one of these"):
        validate(changed(key, "@"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("plan.seeds", [], "expected at least one"),
        ("plan.folds", [], "expected at least one"),
        ("data.aligners", [], "expected at least one"),
        ("plan.seeds", [0, 1, 0], "got 0 twice"),
        ("data.aligners", ["corpus", "corpus"], "got corpus twice"),
        ("plan.folds", [0, -1], "at least 0, got -1"),
        ("plan.sizes", [500, 0], "at least 1, or all, got 0"),
        ("plan.sizes", [500, True], "at least 1, or all, got True"),
        ("plan.sizes", [2.5], "at least 1, or all, got 2.5"),
        ("plan.sizes", ["every"], "at least 1, or all, got every"),
        ("plan.sizes", ["all", "all"], "got all twice"),
        ("model.text.hidden", 66, r"a multiple of model.text.heads \(4\), got 66"),
        ("name", "a/b", "a folder name"),
        ("name", "..", "a folder name"),
        ("name", " ", "a folder name"),
        ("data.labels", "iemocap5", "data.labels"),
        ("data.protocol", "iemocap4-session6", "data.protocol"),
    ],
)
def test_values_that_cannot_be(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(changed(key, value))
    assert caught.value.where == key


def test_width_of_a_pretrained_text_model_is_its_own() -> None:
    config = changed("model.text.hidden", 66)
    config.model.text.name = "some/model"
    validate(config)


@pytest.mark.parametrize(
    ("task", "alignment", "speech", "text", "times"),
    [
        ("linear", "span", True, False, False),
        ("acoustic", "span", True, False, False),
        ("text", "span", False, True, False),
        ("fusion", "span", True, True, True),
        ("fusion", "attention", True, True, False),
        ("fusion", "none", True, True, False),
    ],
)
def test_what_a_task_reads(
    task: str, alignment: str, speech: bool, text: bool, times: bool
) -> None:
    config = changed("model.task", task)
    config.model.alignment = alignment
    assert needs_speech(config) is speech
    assert needs_text(config) is text
    assert needs_word_times(config) is times
