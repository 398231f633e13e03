"""Word boundary errors of the aligners where true or hand-made word times are known.

    python benchmarks/alignment.py [--data ../shared/data] [--ctc MODEL] [--name alignment]

Corpora: the demo corpus (times of the synthesiser), `alignment/` under --data (two clips with
TextGrids by hand, one with phone labels by machine) and `emodb/` there (German, by hand; English
aligners stay away). Writes ``benchmarks/results/NAME.{json,md}``. An error is the distance of a
word's start or end from the true one; words whose true time is unknown are left out and counted.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import RESULTS
from data_modules.align import choose_words
from data_modules.aligners import ALIGNERS, Aligner, Waveform
from data_modules.alignment import time_words, transcript_words
from data_modules.atomic import write_json, write_text
from data_modules.audio import load_audio
from data_modules.corpora import CORPORA
from data_modules.corpora.demo import make_demo
from data_modules.manifest import Utterance, Word
from data_modules.textgrid import choose_tier, read_textgrid, tier_words
from sermm.rundir import git_revision

NEAR_S = 0.05
ARCTIC_TEXT = "He turned sharply, and faced Gregson across the table."
# phones before and after it, its place in the syllable, and the syllable's place in the word
HTS_LABEL = re.compile(
    r"-(?P<phone>\w+)\+.*@(?P<in_syllable>\w+)_\w+/A:.*/B:[^@]*@(?P<in_word>\w+)-"
)


@dataclass(frozen=True)
class Clip:
    """A clip with a true time, or None, for each word of its transcript."""

    corpus: str
    language: str
    waveform: Waveform
    words: list[str]
    truth: list[tuple[float, float] | None]


def truth_of(words: list[str], timed: list[Word], duration_s: float) -> list[Any]:
    matched = time_words(words, timed, duration_s)
    return [None if w.source == "interpolated" else (w.start_s, w.end_s) for w in matched]


def corpus_clips(name: str, title: str, root: Path) -> Iterator[Clip]:
    """Clips of a corpus whose release has word times."""
    corpus = CORPORA[name]
    for utterance in corpus.read(root).utterances:
        if not utterance.words_from("corpus") or not utterance.text or utterance.audio is None:
            continue
        waveform = load_audio(root / utterance.audio, utterance.start_s, utterance.end_s)
        yield whole_clip(title, corpus.language, utterance, waveform)


def whole_clip(title: str, language: str, utterance: Utterance, waveform: Waveform) -> Clip:
    duration_s = len(waveform) / 16_000
    timed = choose_words(replace(utterance, start_s=0.0, end_s=duration_s), ["corpus"])[0]
    words = transcript_words(utterance.text or "")
    return Clip(title, language, waveform, words, truth_of(words, timed, duration_s))


def demo_clips(utterances: int) -> Iterator[Clip]:
    with tempfile.TemporaryDirectory() as folder:
        root = make_demo(Path(folder) / "demo", seed=0, utterances_per_speaker=utterances // 10)
        yield from corpus_clips("iemocap", "demo", root)


def praatio_clips(folder: Path) -> Iterator[Clip]:
    for name, grid_name in (("bobby", "bobby_words"), ("mary", "mary")):
        waveform = load_audio(folder / f"{name}.wav")
        path = folder / f"{grid_name}.TextGrid"
        timed = tier_words(choose_tier(read_textgrid(path), path))
        words = [word.text.lower() for word in timed]
        truth = truth_of(words, timed, len(waveform) / 16_000)
        yield Clip("praatio", "en", waveform, words, truth)


def arctic_clip(folder: Path) -> Clip:
    """Words from phone labels: a word begins with the first phone of its first syllable."""
    spans: list[list[float]] = []
    pausing = True
    for line in (folder / "arctic_a0009_phone.lab").read_text(encoding="utf-8").splitlines():
        start, end, label = line.split()
        match = HTS_LABEL.search(label)
        assert match is not None, line
        pausing = match["phone"] in ("sil", "pau")
        if pausing:
            continue
        if match["in_syllable"] == match["in_word"] == "1":
            spans.append([int(start) / 1e7, int(end) / 1e7])
        spans[-1][1] = int(end) / 1e7
    words = transcript_words(ARCTIC_TEXT)
    assert len(words) == len(spans), spans
    waveform = load_audio(folder / "arctic_a0009.wav")
    return Clip("arctic", "en", waveform, words, [(start, end) for start, end in spans])


def measure(clips: list[Clip], aligner: Aligner) -> dict[str, Any]:
    """Errors of one aligner over the clips of one corpus."""
    starts, ends, failed, unknown, interpolated = [], [], 0, 0, 0
    before = time.perf_counter()
    found = [aligner.align(clip.waveform, clip.words) for clip in clips]
    seconds = time.perf_counter() - before
    for clip, words in zip(clips, found, strict=True):
        if words is None:
            failed += 1
            continue
        timed = time_words(clip.words, words, len(clip.waveform) / 16_000)
        for word, true in zip(timed, clip.truth, strict=True):
            if true is None:
                unknown += 1
                continue
            interpolated += word.source == "interpolated"
            starts.append(word.start_s - true[0])
            ends.append(word.end_s - true[1])
    errors = np.abs(np.array(starts + ends))
    known = len(errors) > 0
    return {
        "corpus": clips[0].corpus,
        "aligner": aligner.source,
        "clips": len(clips),
        "clips_not_aligned": failed,
        "words": len(starts),
        "words_interpolated": interpolated,
        "words_of_unknown_time": unknown,
        "median_ms": 1000 * float(np.median(errors)) if known else None,
        "p90_ms": 1000 * float(np.quantile(errors, 0.9)) if known else None,
        "within_50_ms": float((errors <= NEAR_S + 1e-9).mean()) if known else None,
        "start_bias_ms": 1000 * float(np.median(starts)) if known else None,
        "end_bias_ms": 1000 * float(np.median(ends)) if known else None,
        "times_real_time": sum(len(c.waveform) for c in clips) / 16_000 / max(seconds, 1e-9),
    }


def hardware() -> str:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = names[0] if names else platform.machine()
    return f"{name}, one thread of {os.cpu_count()} cores"


def to_markdown(record: dict[str, Any]) -> str:
    lines = [
        "# Word boundary errors",
        "",
        f"`{record['command']}` on {record['date']}, {record['hardware']}, "
        f"revision {str(record['git_revision'])[:12]}.",
        "",
        "Distance of the starts and ends of words from the true ones. Bias is the median of the "
        "signed error (positive: too late).",
        "",
        "| corpus | aligner | clips (not aligned) | words | median | 90 % | within 50 ms "
        "| bias of starts, ends | times real time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        measured = (
            f"{row['median_ms']:.0f} ms | {row['p90_ms']:.0f} ms | {row['within_50_ms']:.1%} "
            f"| {row['start_bias_ms']:+.0f}, {row['end_bias_ms']:+.0f} ms"
            if row["words"]
            else "| | |"
        )
        lines.append(
            f"| {row['corpus']} | {row['aligner']} | {row['clips']} ({row['clips_not_aligned']}) "
            f"| {row['words']} | {measured} | {row['times_real_time']:,.0f} |"
        )
    return "\n".join([*lines, ""])


def all_corpora(data: Path, utterances: int) -> Iterator[list[Clip]]:
    yield list(demo_clips(utterances))
    if (data / "alignment").is_dir():
        yield list(praatio_clips(data / "alignment" / "praatio"))
        yield [arctic_clip(data / "alignment" / "cmu_arctic")]
    if (data / "emodb").is_dir():
        yield list(corpus_clips("emodb", "EmoDB", data / "emodb"))


def aligners_for(language: str, ctc: str | None) -> Iterator[Aligner]:
    yield ALIGNERS["uniform"]()
    if language == "en":
        yield ALIGNERS["pocketsphinx"]()
    if ctc is not None:
        from data_modules.ctc_aligner import load_ctc_aligner
        from data_modules.ctc_files import CtcFiles

        files = CtcFiles.find(ctc, where=f"--ctc={ctc}")
        yield load_ctc_aligner(files, where="--ctc", language=language, device="cpu", num_threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--utterances", type=int, default=200, help="of the demo corpus")
    parser.add_argument("--ctc", help="also a CTC model: a folder or a hub id")
    parser.add_argument("--name", default="alignment", help="of the result")
    arguments = parser.parse_args()
    rows = []
    for clips in all_corpora(arguments.data, arguments.utterances):
        for aligner in aligners_for(clips[0].language, arguments.ctc):
            rows.append(measure(clips, aligner))
            print({key: rows[-1][key] for key in ("corpus", "aligner", "median_ms")})
    record = {
        "command": shlex.join(["python", "benchmarks/alignment.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "git_revision": git_revision(),
        "rows": rows,
    }
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", to_markdown(record))
    print(to_markdown(record))


if __name__ == "__main__":
    main()
