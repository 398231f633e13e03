"""wav2vec, vq-wav2vec and Speech-BERT against s3prl's modules with the same random weights.

    python -m benchmarks.parity_s3prl --s3prl PATH [--full] [--write-golden]

PATH is a source tree of s3prl (the folder that holds `s3prl/upstream`); its top level is not
imported, the single upstreams are. Both sides read the same checkpoint files, s3prl with its own
loader. What is printed and written to `benchmarks/results/parity_s3prl.{json,md}`: how many values,
the largest difference of a clip alone, over all states; codes that differ; and by how much a clip
in a padded batch differs from the clip alone, here and there. It leaves with status 1 if a clip
alone differs by more than 1e-5, or a code does.

With --write-golden the results of s3prl go to the file that the test suite compares with.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import RESULTS
from benchmarks.tiny_converted import (
    BERT,
    BERTS,
    CONVOLUTIONS,
    QUANTIZER,
    save_convolutions,
    save_speech_bert,
    wave,
)
from data_modules.atomic import write_json, write_text
from sermm.rundir import git_revision
from sermm.upstreams.speech_bert import load_speech_bert
from sermm.upstreams.vq_wav2vec import load_vq_wav2vec
from sermm.upstreams.wav2vec import load_wav2vec

LIMIT = 1e-5
GOLDEN = Path(__file__).parent.parent / "tests/sermm/upstreams/data/s3prl.npz"
LENGTHS = (465, 626, 3_333, 16_000)
"""Samples of the clips: the shortest, one with two frames, and longer ones."""
GOLDEN_LENGTHS = (465, 3_333)


@dataclass(frozen=True)
class Result:
    """States of one clip, one after the other, and its codes."""

    states: list[Tensor]  # each (F, D)
    codes: Tensor | None = None  # (F, groups)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    kind: str
    num_values: int
    rms: float
    gap: float
    num_codes: int
    code_flips: int
    batch_gap: float
    s3prl_batch_gap: float


def clips() -> list[Tensor]:
    """What both sides get."""
    return [wave(length, seed) for seed, length in enumerate(LENGTHS)]


def s3prl_convolutions(path: Path) -> Callable[[list[Tensor]], list[Result]]:
    """s3prl's expert for wav2vec and vq-wav2vec, on a file."""
    from s3prl.upstream.wav2vec.expert import UpstreamExpert

    expert = UpstreamExpert(str(path)).eval()

    def run(waves: list[Tensor]) -> list[Result]:
        found = expert(waves)
        states = list(found["hidden_states"])
        if "codewords" in found:
            states.insert(1, found["codewords"])
        codes = found.get("codeids")
        return [
            Result([state[i] for state in states], None if codes is None else codes[i])
            for i in range(len(waves))
        ]

    return run


def s3prl_speech_bert(folder: Path) -> Callable[[list[Tensor]], list[Result]]:
    """s3prl's expert for Speech-BERT, on the two files in a folder."""
    from s3prl.upstream.roberta.expert import UpstreamExpert
    from s3prl.upstream.roberta.hubconf import _vq_wav2vec_codeids_wrapper
    from s3prl.upstream.vq_wav2vec.expert import UpstreamExpert as Quantizer

    quantizer = Quantizer(str(folder / QUANTIZER)).eval()
    expert = UpstreamExpert(str(folder / BERT), _vq_wav2vec_codeids_wrapper(quantizer)).eval()

    def run(waves: list[Tensor]) -> list[Result]:
        states = list(expert(waves)["hidden_states"])
        # its list has the last layer before the norm that follows it, if there is one
        if (norm := expert.roberta.encoder.sentence_encoder.layer_norm) is not None:
            states[-1] = norm(states[-1])
        return [Result([state[i] for state in states]) for i in range(len(waves))]

    return run


def ours(kind: str, path: Path) -> Callable[[list[Tensor]], list[Result]]:
    """The same file or folder, read here."""
    if kind in BERTS:
        upstream: Any = load_speech_bert(name=str(path), layers="all", keep_ends=True)
        return lambda waves: [Result(states) for states in _states(upstream, waves)]
    load = load_vq_wav2vec if kind.startswith("vq") else load_wav2vec
    count = load(name=str(path)).encoder.num_transformer_layers + 1
    # layers of different widths cannot be had together
    choices = [str(i) for i in range(count)] if "every" in kind else ["all"]
    upstreams: list[Any] = [load(name=str(path), layers=choice) for choice in choices]
    for upstream in upstreams:
        upstream.encoder.one_by_one = False  # padded, as on a GPU; a CPU does them singly

    def run(waves: list[Tensor]) -> list[Result]:
        found = [_states(upstream, waves) for upstream in upstreams]
        codes: list[Tensor | None] = [None] * len(waves)
        if kind.startswith("vq"):
            rows, counts = upstreams[0].codes(*_padded(waves))
            codes = [row[:n] for row, n in zip(rows, counts.tolist(), strict=True)]
        return [
            Result([state for states in found for state in states[i]], codes[i])
            for i in range(len(waves))
        ]

    return run


def _padded(waves: list[Tensor]) -> tuple[Tensor, Tensor]:
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    return batch, torch.tensor([len(clip) for clip in waves])


def _states(upstream: Any, waves: list[Tensor]) -> list[list[Tensor]]:
    features = upstream.layers(*_padded(waves))
    counts = features.lengths.tolist()
    return [
        [state[:count] for state in states]
        for states, count in zip(features.states, counts, strict=True)
    ]


def compare(kind: str, folder: Path, seed: int = 0) -> tuple[Row, list[Result]]:
    """One model, made anew, on all clips; s3prl's results come with it."""
    make = save_speech_bert if kind in BERTS else save_convolutions
    path = make(folder / f"model{len(list(folder.iterdir()))}.pt", kind, seed)
    with quiet(), torch.inference_mode():
        theirs = (s3prl_speech_bert if kind in BERTS else s3prl_convolutions)(path)
        mine, waves = ours(kind, path), clips()
        expected = [theirs([clip])[0] for clip in waves]
        found = [mine([clip])[0] for clip in waves]
        gap, squares, count = 0.0, 0.0, 0
        for a, b in zip(found, expected, strict=True):
            for left, right in zip(a.states, b.states, strict=True):
                assert left.shape == right.shape, (kind, left.shape, right.shape)
                gap = max(gap, float((left - right).abs().max()))
                squares += float(right.double().pow(2).sum())
                count += right.numel()
        row = Row(
            kind=kind,
            num_values=count,
            rms=(squares / count) ** 0.5,
            gap=gap,
            num_codes=sum(0 if b.codes is None else b.codes.numel() for b in expected),
            code_flips=sum(
                int((a.codes != b.codes).sum())
                for a, b in zip(found, expected, strict=True)
                if a.codes is not None and b.codes is not None
            ),
            batch_gap=batch_gap(mine, found, waves),
            s3prl_batch_gap=batch_gap(theirs, expected, waves),
        )
    return row, expected


def batch_gap(
    run: Callable[[list[Tensor]], list[Result]], alone: list[Result], waves: list[Tensor]
) -> float:
    """The largest difference over the real frames between a padded batch and the clips alone."""
    return max(
        float((left[: len(right)] - right).abs().max())
        for a, b in zip(run(waves), alone, strict=True)
        for left, right in zip(a.states, b.states, strict=True)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """s3prl talks on stderr."""
    with redirect_stderr(StringIO()):
        yield


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = [
        "| model | values | rms | gap to s3prl | codes that differ | batch against alone |"
        " s3prl's batch against alone |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.kind} | {row.num_values} | {row.rms:.2f} | {row.gap:.1e} |"
        f" {f'{row.code_flips} of {row.num_codes}' if row.num_codes else '-'} |"
        f" {row.batch_gap:.1e} | {row.s3prl_batch_gap:.1e} |"
        for row in rows
    ]
    return "\n".join(lines)


def write_golden(results: dict[str, list[Result]]) -> None:
    """s3prl's numbers of the small models, for two of the clips."""
    arrays: dict[str, Any] = {}
    for kind, clips_results in results.items():
        for length, result in zip(LENGTHS, clips_results, strict=True):
            if length not in GOLDEN_LENGTHS:
                continue
            for i, state in enumerate(result.states):
                arrays[f"{kind}/{length}/{i}"] = state.numpy()
            if result.codes is not None:
                arrays[f"{kind}/{length}/codes"] = result.codes.numpy().astype(np.int16)
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **arrays)


def main() -> int:
    """Compare, print, and say by the status whether all is within the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--s3prl", type=Path, required=True, help="source tree of s3prl")
    parser.add_argument("--full", action="store_true", help="the published sizes, too")
    parser.add_argument("--write-golden", action="store_true", help="store s3prl's results")
    arguments = parser.parse_args()
    if not (arguments.s3prl / "s3prl/upstream/wav2vec").is_dir():
        print(f"error: {arguments.s3prl}: expected a source tree of s3prl", file=sys.stderr)
        return 2
    sys.path.insert(0, str(arguments.s3prl))
    torch.set_num_threads(1)
    kinds = [k for k in (*CONVOLUTIONS, *BERTS) if arguments.full or "size" not in k]
    rows, results = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            row, results[kind] = compare(kind, Path(folder))
            rows.append(row)
    text = table(rows)
    print(text)
    write_results(rows, text, tree=arguments.s3prl, full=arguments.full)
    if arguments.write_golden:
        write_golden({kind: found for kind, found in results.items() if "size" not in kind})
        print(f"\nwrote {GOLDEN} ({GOLDEN.stat().st_size // 1024} KiB)")
    worst = max(row.gap for row in rows)
    print(f"\nlargest gap {worst:.1e}, limit {LIMIT:.0e}")
    return int(worst > LIMIT or any(row.code_flips for row in rows))


def write_results(rows: list[Row], text: str, *, tree: Path, full: bool) -> None:
    """Under ``benchmarks/results``, with what they were measured on."""
    command = "python -m benchmarks.parity_s3prl --s3prl PATH" + " --full" * full
    facts = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "s3prl": version(tree),
        "torch": torch.__version__,
        "git_revision": git_revision(),
        "samples": list(LENGTHS),
    }
    write_json(RESULTS / "parity_s3prl.json", {**facts, "rows": [asdict(row) for row in rows]})
    head = (
        "# Converted models against s3prl\n\n"
        f"`{command}` on {facts['date']}, s3prl {facts['s3prl']}, torch {facts['torch']}, revision "
        f"{facts['git_revision']}.\n\n"
        "Largest difference over all states of clips alone, both sides with the same checkpoint "
        "files of random weights; then a padded batch of the clips against each alone, for sermm "
        "(computed together, as on a GPU) and for s3prl. "
        f"Clips of {', '.join(map(str, LENGTHS))} samples.\n\n"
    )
    write_text(RESULTS / "parity_s3prl.md", f"{head}{text}\n")


def version(tree: Path) -> str:
    """Of the source, and its commit if it is a checkout."""
    number = (tree / "s3prl/version.txt").read_text().strip()
    commit = subprocess.run(
        ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{number} {commit.stdout.strip()}".strip()


if __name__ == "__main__":
    sys.exit(main())
