from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from data_modules.errors import RunFailedError
from sermm.nursery import Nursery, NurseryRun
from tests.sermm.workplace import has_ended, wait_until

# a server that imports nothing and runs Python instead of sermm
SERVER = """
import os, sys, types
module = types.ModuleType("sermm.__main__")
def main():
    exec(sys.argv[1], {"sys": sys})
module.main = main
sys.modules["sermm.__main__"] = module
from sermm.nursery import serve
sys.exit(serve(("json",)))
"""


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    monkeypatch.setattr(Nursery, "_command", (sys.executable, "-c", SERVER))
    with Nursery({**os.environ, "ONE": "1"}) as opened:
        yield opened


def test_a_run_is_a_process_with_its_own_end_log_and_session(
    nursery: Nursery, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    code = (
        "import os, atexit; atexit.register(print, 'at the end'); "
        "print(sys.argv[0], os.environ['ONE'], os.getpid() == os.getsid(0), sys.stdin.read()); "
        "print('error', file=sys.stderr); sys.exit(3)"
    )
    run = nursery.start([code], log)
    assert run.wait(120) == 3
    assert run.poll() == 3
    lines = log.read_text().splitlines()
    assert lines[0] == "before"
    assert sorted(lines[1:]) == ["at the end", "error", "sermm 1 True "]


def test_several_run_at_once_and_know_nothing_of_each_other(
    nursery: Nursery, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    code = (
        "import json, os, time\nprint(hasattr(json, 'mark')); json.mark = 1\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    runs = [nursery.start([code], tmp_path / f"{k}.txt") for k in range(3)]
    assert len({run.pid for run in runs}) == 3
    assert [run.poll() for run in runs] == [None] * 3
    go.touch()
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert [(tmp_path / f"{k}.txt").read_text() for k in range(3)] == ["False\n"] * 3


def test_a_number_that_the_system_gives_again_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server says when a run has the number of one that has ended."""
    code = (
        "import sys\n"
        "sys.stdin.readline(); print('[7, null]', flush=True)\n"
        "sys.stdin.readline(); print('[7, 0]\\n[7, null]', flush=True)\n"
        "sys.stdin.readline(); print('[7, 3]\\n[8, null]', flush=True)\n"
        "sys.stdin.read()"
    )
    monkeypatch.setattr(Nursery, "_command", (sys.executable, "-c", code))
    with Nursery(os.environ) as opened:
        first = opened.start(["pass"], tmp_path / "log")
        second = opened.start(["pass"], tmp_path / "log")
        assert (first.pid, second.pid) == (7, 7)
        assert (first.poll(), second.poll()) == (0, None)
        third = opened.start(["pass"], tmp_path / "log")
        assert (first.poll(), second.poll(), third.poll()) == (0, 3, None)


def test_a_signal_ends_it(nursery: Nursery, tmp_path: Path) -> None:
    run = nursery.start(["import time; print('on', flush=True); time.sleep(600)"], tmp_path / "log")
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(0.1)
    run.terminate()
    assert run.wait(120) == -signal.SIGTERM
    run.terminate()
    again = nursery.start(["1 / 0"], tmp_path / "log")
    assert again.wait(120) == 1
    assert (tmp_path / "log").read_text().endswith("ZeroDivisionError: division by zero\n")


def test_the_end_of_the_server_is_an_error_and_ends_no_run(
    nursery: Nursery, tmp_path: Path
) -> None:
    run = nursery.start(["import time; print('on', flush=True); time.sleep(600)"], tmp_path / "log")
    wait_until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
    nursery._process.kill()
    nursery._process.wait()
    try:
        for ask in (run.poll, run.wait, lambda: nursery.start(["pass"], tmp_path / "other")):
            with pytest.raises(
                RunFailedError, match=r"got its end \(exit status -9\); run the sam"
            ):
                ask()
        assert not has_ended(run.pid)
        run.terminate()
        wait_until(lambda: has_ended(run.pid))
    finally:
        with suppress(ProcessLookupError):  # somebody else has fetched its status
            os.killpg(run.pid, signal.SIGKILL)


def test_a_run_that_its_plan_did_not_hear_of_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that is stopped while the server still imports."""
    busy = SERVER.replace("sys.exit(", "import time; time.sleep(0.5)\nsys.exit(")
    monkeypatch.setattr(Nursery, "_command", (sys.executable, "-c", busy))

    note_answers = Nursery.note_answers
    answers: list[NurseryRun | None] = []

    def stopped_at_first(nursery: Nursery, *, wait: bool = False) -> NurseryRun | None:
        if not answers:
            answers.append(None)
            raise KeyboardInterrupt
        answers.append(note_answers(nursery, wait=wait))
        return answers[-1]

    monkeypatch.setattr(Nursery, "note_answers", stopped_at_first)
    opened = Nursery(os.environ)
    with pytest.raises(KeyboardInterrupt), opened:
        opened.start(["import time; time.sleep(600)"], tmp_path / "log")
    assert opened._process.returncode == 0
    (run,) = [answer for answer in answers if answer is not None]
    wait_until(lambda: has_ended(run.pid))


def test_it_ends_with_whoever_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nursery, "_command", (sys.executable, "-c", SERVER))
    with Nursery(os.environ) as opened:
        run: NurseryRun = opened.start(["pass"], tmp_path / "log")
        assert run.wait(120) == 0
    assert opened._process.returncode == 0
    # killed, it closes nothing itself
    code = (
        "import os, sys\nfrom sermm.nursery import Nursery\n"
        f"Nursery._command = (sys.executable, '-c', {SERVER!r})\n"
        "opened = Nursery(os.environ)\nprint(opened._process.pid, flush=True)\n"
        f"opened.start(['pass'], {str(tmp_path / 'log')!r})\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: has_ended(int(done.stdout)))
