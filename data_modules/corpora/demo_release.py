"""Writes the planned turns of the demo corpus as a release: clips, word times, labels, transcripts.

One process speaks for each speaker, as many at once as there are cores; what they write does not
depend on how many. Whether the folder appears whole is the business of ``demo.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import wave
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from threading import Event, Lock

from data_modules.corpora.demo_plan import SPEAKERS, DemoTurn, Speaker, plan_speaker
from data_modules.errors import RunFailedError

DESIGN = "design.tsv"
"""What each utterance was meant to be: for analysis by kind of sentence, never read by a model."""

_EVALUATIONS = {"ang": "Anger", "sad": "Sadness", "hap": "Happiness", "neu": "Neutral"}
_NUM_EVALUATORS = 3
_HIGH, _MIDDLE, _LOW = 4, 3, 2
_GAP_S = 0.5
_PACKAGE_ROOT = Path(__file__).parents[2]


class _Progress:
    """Counts clips over the threads that wait for speakers, and stops them together."""

    def __init__(self, total: int, report: Callable[[int, int], None] | None) -> None:
        self.stop = Event()
        self._total, self._report = total, report
        self._done, self._lock = 0, Lock()

    def advance(self) -> None:
        with self._lock:
            self._done += 1
            if self._report is not None:
                self._report(self._done, self._total)


def write_release(
    root: Path,
    *,
    seed: int,
    utterances_per_speaker: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write all sessions and ``design.tsv`` under an existing folder.

    Raises:
        RunFailedError: The process of a speaker stopped.
    """
    turns = [
        turn
        for speaker in SPEAKERS
        for turn in plan_speaker(speaker, seed=seed, num_utterances=utterances_per_speaker)
    ]
    for turn in turns:
        for path in (_wav(root, turn), _wdseg(root, turn)):
            path.parent.mkdir(parents=True, exist_ok=True)
    progress = _Progress(len(turns), on_progress)
    with ThreadPoolExecutor(min(len(SPEAKERS), os.cpu_count() or 1)) as pool:
        spoken = [
            pool.submit(
                _speak, root, speaker, [turn for turn in turns if turn.speaker == speaker], progress
            )
            for speaker in SPEAKERS
        ]
        try:
            for future in as_completed(spoken):
                future.result()
        except BaseException:
            # Ctrl-C or a failed speaker: leave no process behind that writes into a folder to be
            # removed
            progress.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    _write_dialogues(root, turns)
    _write_design(root, turns)


def _wav(root: Path, turn: DemoTurn) -> Path:
    folder = root / f"Session{turn.speaker.session}" / "sentences" / "wav"
    return folder / turn.dialogue / f"{turn.name}.wav"


def _wdseg(root: Path, turn: DemoTurn) -> Path:
    folder = root / f"Session{turn.speaker.session}" / "sentences" / "ForcedAlignment"
    return folder / turn.dialogue / f"{turn.name}.wdseg"


def _speak(root: Path, speaker: Speaker, turns: Sequence[DemoTurn], progress: _Progress) -> None:
    """Let a fresh process speak all turns of a speaker."""
    if progress.stop.is_set():
        return
    jobs = [{"voice": speaker.voice}] + [
        {
            "wav": str(_wav(root, turn)),
            "wdseg": str(_wdseg(root, turn)),
            "tokens": turn.sentence.tokens,
            "words": turn.sentence.words,
            "stressed": turn.sentence.stressed,
            "delivery": asdict(turn.delivery),
        }
        for turn in turns
    ]
    # one thread: numpy does nothing here that would gain from more, and starting them costs time
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")))
        ),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as messages:
        path = Path(folder) / "jobs.jsonl"
        path.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
        # -P: a file called wave.py in the working folder must not stand in for the module
        command = [sys.executable, "-P", "-m", "data_modules.corpora.demo_voice", str(path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=messages, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            try:
                for _ in process.stdout:
                    if progress.stop.is_set():
                        process.kill()
                        break
                    progress.advance()
            except BaseException:
                # Ctrl-C in whoever is told of progress: `with` would wait a quarter of a second
                process.kill()
                process.wait()
                raise
        if process.returncode != 0 and not progress.stop.is_set():
            messages.seek(0)
            lines = messages.read().strip().splitlines()
            raise RunFailedError(
                f"demo speaker {speaker.name}",
                expected="a process that speaks all its sentences",
                got=f"exit status {process.returncode} ({lines[-1] if lines else 'no message'})",
                fix="check that there is room on the disk, and install the extra 'demo' again",
            )


def _write_dialogues(root: Path, turns: Sequence[DemoTurn]) -> None:
    """Labels and transcripts of each conversation, whose speakers take turns."""
    dialogues: dict[str, list[DemoTurn]] = defaultdict(list)
    for turn in turns:
        dialogues[turn.dialogue].append(turn)
    for name, members in dialogues.items():
        # who wears the markers begins, as in Ses01F
        members.sort(key=lambda turn: (turn.name[-3:], turn.speaker.gender != name[5]))
        labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"]
        transcript = []
        start = _GAP_S
        for turn in members:
            with wave.open(str(_wav(root, turn)), "rb") as clip:
                end = start + clip.getnframes() / clip.getframerate()
            labels.append(_evaluation(turn, start, end))
            transcript.append(f"{turn.name} [{start:08.4f}-{end:08.4f}]: {turn.sentence.text}\n")
            start = end + _GAP_S
        folder = root / f"Session{members[0].speaker.session}" / "dialog"
        for kind, lines in (("EmoEvaluation", labels), ("transcriptions", transcript)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{name}.txt").write_text("".join(lines), encoding="ascii")


def _evaluation(turn: DemoTurn, start: float, end: float) -> str:
    """A block of an EmoEvaluation file. What is meant is known, so all evaluators agree."""
    valence = _HIGH if turn.valence == "positive" else _LOW
    activation = _HIGH if turn.arousal == "high" else _LOW
    means = ", ".join(f"{rating:.4f}" for rating in (valence, activation, _MIDDLE))
    lines = [f"[{start:.4f} - {end:.4f}]\t{turn.name}\t{turn.label}\t[{means}]"]
    evaluators = range(1, _NUM_EVALUATORS + 1)
    lines += [f"C-E{number}:\t{_EVALUATIONS[turn.label]};\t()" for number in evaluators]
    lines += [
        f"A-E{number}:\tval {valence}; act {activation}; dom  {_MIDDLE};\t()"
        for number in evaluators
    ]
    return "\n".join(lines) + "\n\n"


def _write_design(root: Path, turns: Sequence[DemoTurn]) -> None:
    rows = ["utterance_id\tspeaker\tkind\tvalence\tarousal\tlabel\tstressed_word\n"]
    for turn in turns:
        stressed = "" if turn.sentence.stressed is None else str(turn.sentence.stressed)
        values = (turn.name, turn.speaker.name, turn.kind, turn.valence, turn.arousal, turn.label)
        rows.append("\t".join((*values, stressed)) + "\n")
    (root / DESIGN).write_text("".join(rows), encoding="ascii")
