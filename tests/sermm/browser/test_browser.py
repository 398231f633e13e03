"""Pages in a real Chromium: nothing on the console, no request to any other place.

Needs node, a chromium, and a folder with playwright-core, which SERMM_PLAYWRIGHT names:

    mkdir pw && cd pw && npm init -y && npm i playwright-core
    SERMM_PLAYWRIGHT=$PWD make test ARGS="-m browser tests/sermm/browser"

Pictures of what was seen stay in the folder that pytest names with --basetemp.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.data_modules import iemocap_tree as tree
from tests.sermm.small_corpus import small_turns
from tests.sermm.workplace import Workplace

HERE = Path(__file__).parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
PLAYWRIGHT = os.environ.get("SERMM_PLAYWRIGHT", "")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and PLAYWRIGHT and shutil.which("node")),
        reason="needs node, chromium and SERMM_PLAYWRIGHT, a folder with playwright-core",
    ),
]


def drive(script: str, *arguments: str) -> Any:
    environment = {**os.environ, "PLAYWRIGHT": PLAYWRIGHT, "CHROMIUM": CHROMIUM}
    done = subprocess.run(
        ["node", HERE / script, *arguments],
        env=environment, capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of the demo page of a run."""
    program = [sys.executable, "-W", "ignore", "-m", "sermm", "demo", str(run), "--port", "0"]
    with subprocess.Popen(
        [*program, "--max-mb", "25"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


def write_files(folder: Path, clip: Path) -> None:
    """What is uploaded: a clip, ten minutes of it, a part of its bytes, and too many bytes."""
    shutil.copy(clip, folder / "clip.wav")
    samples, rate = soundfile.read(clip, dtype="float32")
    spaced = np.concatenate([samples, np.zeros(rate // 2, np.float32)])
    soundfile.write(folder / "long.wav", np.resize(spaced, 600 * rate), rate, subtype="PCM_16")
    good = clip.read_bytes()
    (folder / "damaged.wav").write_bytes(good[: len(good) // 3])
    (folder / "large.wav").write_bytes(good[:44] + bytes(30_000_000))


def test_the_demo_page_as_its_users_meet_it(place: Workplace) -> None:
    run = place.fit("acoustic", "name=heard")
    name = next(turn.name for turn in small_turns() if turn.session == 1)
    write_files(place.folder, tree.clip_path(place.release, name))
    with served(run) as url:
        seen = drive("demo.mjs", url, str(place.folder), str(place.folder))
    assert seen["faults"] == []
    for width in (1280, 390):
        steps = {key: seen["steps"][f"{key}-{width}"] for key in
                 ("clip", "again", "damaged", "long", "named", "large")}  # fmt: skip
        assert {step[how] for step in steps.values() for how in ("wide", "cut")} == {0}
        assert len(steps["clip"]["shares"]) == 4
        assert steps["clip"]["shares"] == steps["again"]["shares"] == steps["named"]["shares"]
        assert steps["clip"]["drawn"] == 1
        assert "try another file" in steps["damaged"]["told"]
        assert steps["long"]["rows"] == 150
        assert "exceed" in steps["large"]["told"]
    assert len(seen["users"]["answers"]) == 20
    assert len(set(seen["users"]["answers"])) == 1


def test_report_pages_on_desktop_phone_and_paper(place: Workplace) -> None:
    settings = ("plan.folds=[0]", "model.modality_dropout=0.2")
    for name in ("one", "two"):
        said = place.sermm("experiment", *place.settings("none", f"name={name}", *settings))
        assert said.status == 0, said
    for arguments in (["compare", "one", "two"], ["leaderboard"]):
        assert place.sermm(*arguments).status == 0
    pages = sorted(str(path) for path in (place.folder / "runs").rglob("*.html"))
    assert len(pages) >= 4
    found = drive("pages.mjs", str(place.folder), *pages)
    assert {name: faults for name, faults in found.items() if faults} == {}
