"""The page over HTTP, as a browser and as somebody who means no good ask it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

import sermm
from sermm.predict.predictor import Predictor
from tests.data_modules import iemocap_tree as tree
from tests.sermm.small_corpus import small_turns
from tests.sermm.workplace import Workplace

pytest.importorskip("gradio")

CLIP = next(turn.name for turn in small_turns() if turn.session == 1)
MAX_BYTES = 400_000


@dataclass(frozen=True)
class Page:
    """A page that is served, and who answers it."""

    client: httpx.Client
    folder: Path
    run: Path
    predictor: Predictor
    clip: Path

    def upload(self, path: Path, name: str | None = None) -> httpx.Response:
        with path.open("rb") as stream:
            return self.client.post(
                "/gradio_api/upload", files={"files": (name or path.name, stream)}
            )

    def ask(self, path: str | None, way: str = "whole") -> tuple[str, list[Any]]:
        """The event that the page gets, and its outputs: bars, picture, timeline, notes."""
        sound = None if path is None else {"path": path, "meta": {"_type": "gradio.FileData"}}
        asked = self.client.post("/gradio_api/call/judge", json={"data": [sound, "", way]})
        asked.raise_for_status()
        said = self.client.get(f"/gradio_api/call/judge/{asked.json()['event_id']}").text
        event, data = re.findall(r"event: (\w+)\ndata: (.*)", said)[-1]
        return event, json.loads(data) or []

    def judge(self, path: Path, way: str = "whole") -> list[Any]:
        sent = self.upload(path)
        assert sent.status_code == 200, sent.text
        event, outputs = self.ask(sent.json()[0], way)
        assert event == "complete"
        return outputs

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, small_release: Path, small_cache: Path
) -> Iterator[Page]:
    place = Workplace(tmp_path_factory.mktemp("demo"), small_release, small_cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        run = place.fit("linear", "name=shown")
        temp = place.folder / "temp"
        temp.mkdir()
        patch.setattr("tempfile.tempdir", str(temp))
        # another process: gradio leaves event loops open, which is an error here
        program = [sys.executable, "-W", "ignore", "-m", "sermm", "demo", str(run), "--port", "0"]
        program += ["--max-mb", str(MAX_BYTES / 1e6), "--max-minutes", str(8 / 60)]
        with subprocess.Popen(
            program, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temp)}
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            (folder,) = temp.glob("sermm-demo-*")
            assert folder.stat().st_mode & 0o077 == 0
            clip = tree.clip_path(small_release, CLIP)
            # a connection each: the server may close one that it kept while we ask again
            limits = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=url, trust_env=False, timeout=600, limits=limits) as client:
                yield Page(client, folder, run, sermm.load(run), clip)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=600)
        assert not list(temp.glob("sermm-demo-*"))


def shares(outputs: list[Any]) -> dict[str, float]:
    return {row["label"]: row["confidence"] for row in outputs[0]["confidences"]}


def test_the_page_says_what_predict_says_and_keeps_nothing(page: Page) -> None:
    expected = page.predictor.predict(page.clip)
    outputs = page.judge(page.clip)
    assert shares(outputs) == pytest.approx(expected.probabilities, abs=1e-5)
    assert outputs[0]["label"] == expected.label
    ids = re.findall(r'\bid="([^"]+)"', outputs[1])
    assert outputs[1].count("<svg") == 2  # for a desktop and a phone
    assert len(set(ids)) == len(ids) > 2
    assert page.files() == []


def test_many_send_the_same_recording_and_each_gets_an_answer(page: Page) -> None:
    expected = page.predictor.predict(page.clip).probabilities
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(page.judge, [page.clip] * 8))
    assert all(shares(outputs) == pytest.approx(expected, abs=1e-5) for outputs in answers)
    assert page.files() == []


def test_a_damaged_file_gets_one_message_without_a_path(page: Page, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.wav"
    damaged.write_bytes(page.clip.read_bytes()[:60])
    bars, picture, _, notes = page.judge(damaged)
    assert not bars
    assert picture == ""
    assert notes.count('role="alert"') == 1
    assert "try another file" in notes
    assert "/" not in re.sub(r"</?p[^>]*>", "", notes)
    assert page.files() == []


def test_a_long_recording_gets_a_timeline_and_a_longer_one_is_refused(
    page: Page, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 16_000).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise[: 7 * 16_000], 16_000)
    outputs = page.judge(tmp_path / "long.wav", "windows of 4 s")
    cells = re.findall(r"<td>([^<]*)</td>", outputs[2])
    assert [cells[:2], cells[4:6]] == [["0.0", "4.0"], ["4.0", "7.0"]]
    assert {cells[2], cells[6]} <= set(page.predictor.model.facts.names)
    soundfile.write(tmp_path / "longer.wav", noise, 16_000)
    assert "at most 8 s, got 10 s" in page.judge(tmp_path / "longer.wav")[3]
    assert page.files() == []


def test_large_uploads_are_refused_with_and_without_a_length(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    # within the room that the form has, and beyond it
    for size in (MAX_BYTES + 1, MAX_BYTES + 100_000):
        large.write_bytes(bytes(size))
        try:
            assert page.upload(large).status_code == 413
        except (httpx.ReadError, httpx.WriteError):
            assert size > MAX_BYTES + 65_536  # refused before it was read
    form = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
        + bytes(2 * MAX_BYTES)
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    pieces = (form[at : at + 60_000] for at in range(0, len(form), 60_000))
    try:
        answer = page.client.post("/gradio_api/upload", content=pieces, headers=headers)
        assert answer.status_code == 413
    except (httpx.ReadError, httpx.WriteError):
        pass  # hung up on before all was sent
    assert page.files() == []


@pytest.mark.parametrize(
    "name", ["../../../evil.wav", "..", "/etc/evil.wav", "a\x00b.wav", "..\\e.wav"]
)
def test_a_name_leads_nowhere(page: Page, name: str) -> None:
    sent = page.upload(page.clip, name)
    if sent.status_code == 200:
        path = Path(sent.json()[0])
        assert page.folder.resolve() in path.resolve().parents
        page.ask(str(path))
    assert page.files() == []
    assert not list(page.folder.parent.parent.rglob("*evil*"))


def test_no_file_of_the_machine_is_served_or_judged(page: Page) -> None:
    checkpoint = next(page.run.rglob("*.ckpt"))
    paths = ["/etc/passwd", str(page.run / "config.yaml"), str(checkpoint), str(page.clip)]
    inside = f"{page.folder}/../../{page.run.relative_to(page.folder.parent.parent)}/config.yaml"
    for path in [*paths, inside, "https://example.org/a.wav", str(page.folder)]:
        for route in ("file=", "file/", "proxy="):
            for written in (path, path.replace("..", "%2e%2e"), path.replace("/", "%2F")):
                answer = page.client.get(f"/gradio_api/{route}{written}")
                assert answer.status_code in (403, 404), (route, written)
        if path != str(page.folder):
            assert page.ask(path)[0] == "error"
    assert page.clip.exists()
    sent = page.upload(page.clip).json()[0]
    assert page.client.get(f"/gradio_api/file={sent}").content == page.clip.read_bytes()
    page.ask(sent)
    assert page.client.get(f"/gradio_api/file={sent}").status_code == 403


@pytest.mark.parametrize(
    "route",
    ["/monitoring", "/gradio_api/process_recording", "/gradio_api/runs", "/gradio_api/vibe-code",
     "/gradio_api/run-history/buckets", "/gradio_api/component_server", "/docs", "/openapi.json"],
)  # fmt: skip
def test_routes_that_the_page_does_not_need_do_not_exist(page: Page, route: str) -> None:
    assert page.client.get(route).status_code == 404
    assert page.client.post(route).status_code == 404


def test_other_hosts_and_pages_of_other_hosts_are_refused(page: Page) -> None:
    assert page.client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert page.client.get("/", headers={"Host": "localhost.evil.example:80"}).status_code == 403
    for origin in ("http://evil.example", "null", "http://localhost:1"):
        assert page.client.get("/config", headers={"Origin": origin}).status_code == 403
    own = str(page.client.base_url).rstrip("/")
    assert page.client.get("/config", headers={"Origin": own}).status_code == 200
    assert page.client.get("/", headers={"Host": "localhost"}).status_code == 200


def test_the_page_fetches_nothing_from_outside_and_names_no_folder(page: Page) -> None:
    answer = page.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    sources = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]+)"', answer.text)
    assert sources
    allowed = page.client.base_url.host
    outside = [s for s in sources if "//" in s and f"//{allowed}" not in s]
    assert outside == []
    for text in (answer.text, page.client.get("/config").text):
        assert str(page.run) not in text
        assert str(page.folder) not in text
    assert '"run_history":false' in page.client.get("/config").text.replace(" ", "")


def test_a_taken_port_is_said_before_the_model_is_loaded(place: Workplace) -> None:
    place.fit("linear", "name=base")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = place.sermm("demo", "base", "--port", str(taken.getsockname()[1]))
    assert said.status == 2
    assert "a free port" in said.err
