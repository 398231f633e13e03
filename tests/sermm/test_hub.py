from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from data_modules.errors import ModelError
from sermm.hub import check_speech_model, check_text_model


class Hub(BaseHTTPRequestHandler):
    """Knows one model; the rest is 404, and one id needs a token."""

    asked: list[tuple[str, str | None]]

    def do_HEAD(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        known = self.path == "/org/model/resolve/main/config.json"
        gated = "gated" in self.path and self.headers.get("Authorization") != "Bearer key"
        self.send_response(401 if gated else 200 if known or "gated" in self.path else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[tuple[str, str | None]]]:
    """A hub on this machine; what it was asked."""
    Hub.asked = []
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("sermm.hub._TIMEOUT_S", 600.0)
    yield Hub.asked
    server.shutdown()
    thread.join()
    server.server_close()


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_scratch_needs_nothing() -> None:
    check_text_model("scratch")


def test_a_folder_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[object]
) -> None:
    folder = checkpoint(tmp_path / "some" / "model")
    check_text_model(str(folder))
    monkeypatch.chdir(tmp_path)
    check_text_model("some/model")
    check_text_model("./some/model")
    monkeypatch.setenv("HOME", str(tmp_path))
    check_text_model("~/some/model")
    assert not hub


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (["config.json"], "got no config.json;"),
        (["tokenizer.json"], "got no tokenizer.json;"),
        (["model.safetensors"], r"got no weights \(\*\.safetensors\);"),
        (["config.json", "model.safetensors"], r"got no config.json, no weights"),
    ],
)
def test_a_folder_that_is_no_checkpoint(tmp_path: Path, lost: list[str], named: str) -> None:
    folder = checkpoint(tmp_path / "model")
    for name in lost:
        (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"model\.text\.name=.*{named}"):
        check_text_model(str(folder))


def test_older_files_will_do(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    check_text_model(str(folder))


@pytest.mark.parametrize("content", ["", "[]", "{}", "{broken"])
def test_a_config_that_names_no_architecture(tmp_path: Path, content: str) -> None:
    folder = checkpoint(tmp_path / "model")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"expected a config\.json with a model_type"):
        check_text_model(str(folder))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="got no such folder"):
        check_text_model(str(tmp_path / "model"))


@pytest.mark.parametrize("name", ["./model", "/nowhere/model", "../model", "~/nowhere/model"])
def test_a_path_is_not_taken_for_a_hub_id(name: str, hub: list[object]) -> None:
    with pytest.raises(ModelError, match="expected the folder of a transformers checkpoint"):
        check_text_model(name)
    assert not hub


@pytest.mark.parametrize("name", ["my model", "a/b/c", "org/model?x=1", "model#1", "org/"])
def test_what_is_neither_path_nor_id(name: str, hub: list[object]) -> None:
    with pytest.raises(ModelError, match="expected scratch, a folder, or a hub id"):
        check_text_model(name)
    assert not hub


def test_the_hub_is_asked_once(hub: list[tuple[str, str | None]]) -> None:
    check_text_model("org/model")
    assert hub == [("/org/model/resolve/main/config.json", None)]


def test_what_the_hub_does_not_have(hub: list[tuple[str, str | None]]) -> None:
    with pytest.raises(ModelError, match=r"got status 404 \(Not Found\) .* for org/other@main"):
        check_text_model("org/other")
    with pytest.raises(ModelError, match="org/model@v2"):
        check_text_model("org/model", "v2")


def test_a_token_is_shown_where_there_is_one(
    hub: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="status 401"):
        check_text_model("org/gated")
    monkeypatch.setenv("HF_TOKEN", "key")
    check_text_model("org/gated")
    assert hub[-1][1] == "Bearer key"


def test_what_is_in_the_cache_needs_no_hub(
    hub: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "hf" / "hub" / "models--org--other" / "snapshots" / "1a2b")
    check_text_model("org/other")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    checkpoint(tmp_path / "elsewhere" / "models--third" / "snapshots" / "1a2b")
    check_text_model("third")
    assert not hub


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9", "http://no.such.host.invalid", "nonsense", "http://[::"]
)
def test_a_hub_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(ModelError, match=r"a hub that cannot be reached \("):
        check_text_model("org/model")


def test_a_hub_that_nobody_may_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*, got neither"):
        check_text_model("org/model")


def test_a_speech_model_has_a_feature_extractor(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    with pytest.raises(ModelError, match=r"model\.speech\.name=.*no preprocessor_config\.json;"):
        check_speech_model(str(folder))
    (folder / "preprocessor_config.json").write_text("{}")
    check_speech_model(str(folder))
    with pytest.raises(ModelError, match=r"expected a folder, or a hub id such as org/model, got"):
        check_speech_model("my model")
