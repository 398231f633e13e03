from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.errors import ConfigError, ModelError
from sermm.config import Config, DataConfig, ModelConfig, TextConfig
from sermm.inputs import check_inputs, corpus_root


def config(root: Path | str, cache: Path, corpus: str = "ravdess", **model: object) -> Config:
    return Config(
        name="made",
        data=DataConfig(
            corpus=corpus, root=str(root), cache=str(cache), labels="any", protocol="any"
        ),
        model=ModelConfig(**({"task": "acoustic"} | model)),  # type: ignore[arg-type]
    )


def test_the_demo_corpus_has_a_folder_of_its_own_for_each_seed(tmp_path: Path) -> None:
    made = config("", tmp_path, "demo")
    assert corpus_root(made) == tmp_path / "demo" / "seed=0"
    other = replace(made, data=replace(made.data, demo=replace(made.data.demo, seed=2)))
    assert corpus_root(other) == tmp_path / "demo" / "seed=2"
    # it need not be there yet, but a folder that is stated must be
    check_inputs(made)
    with pytest.raises(ConfigError, match=r"got .*nowhere, no folder"):
        check_inputs(config(tmp_path / "nowhere", tmp_path, "demo"))


def test_a_folder_has_to_be_stated_and_to_be_there(tmp_path: Path) -> None:
    assert corpus_root(config(tmp_path, tmp_path)) == tmp_path
    with pytest.raises(ConfigError, match=r"data\.root: .*RAVDESS.* got nothing; state it"):
        check_inputs(config("", tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file, no folder"):
        check_inputs(config(tmp_path / "file", tmp_path))


def test_a_manifest_of_another_folder_is_not_mixed_with_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    manifests = tmp_path / "cache" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "ravdess.prepare.json").write_text(json.dumps({"root": str(first)}))
    check_inputs(config(first, tmp_path / "cache"))
    with pytest.raises(ConfigError, match=r"data\.root: expected .*first, which .*sermm prepare"):
        check_inputs(config(second, tmp_path / "cache"))
    # however it is written
    monkeypatch.chdir(tmp_path)
    check_inputs(config("second/../first", tmp_path / "cache"))
    # another corpus has its own
    check_inputs(config(second, tmp_path / "cache", "emodb"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"root": 5}', "\udc80"])
def test_a_damaged_companion_is_left_to_prepare(tmp_path: Path, content: str) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    path = manifests / "ravdess.prepare.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    check_inputs(config(tmp_path, tmp_path))


def test_a_text_model_is_looked_for_where_it_is_read(tmp_path: Path) -> None:
    text = TextConfig(name=str(tmp_path / "nowhere"))
    check_inputs(config(tmp_path, tmp_path, task="acoustic", text=text))
    for task in ("text", "fusion"):
        with pytest.raises(ModelError, match="no such folder"):
            check_inputs(config(tmp_path, tmp_path, task=task, text=text))
