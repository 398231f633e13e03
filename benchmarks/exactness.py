"""A clip alone against the same clip in a padded batch: how far apart are its frames?

    python benchmarks/exactness.py [--longest 20] [--name exactness]

For each family a small model with random weights is saved to a folder and loaded back, by sermm
and by transformers. One batch holds clips from the shortest that transformers takes to 20 s; the
gap is the largest difference over all values of all true frames of the last layer, as a share of
their root mean square. transformers is called as its documentation says (its feature extractor or
attention mask, the model, one call), and its batch is held against its own clips alone. Writes
``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.record import RESULTS, hardware
from benchmarks.tiny_models import SPEECH, TEXT, save_speech_model, save_text_model
from data_modules.atomic import write_json, write_text
from data_modules.pretrained import quiet_transformers
from sermm.nn.encoders import TextEncoder
from sermm.rundir import git_revision
from sermm.upstreams import SpeechUpstream, build_speech_upstream
from sermm.upstreams.text import load_text_model

SECONDS = (0.04, 0.1, 0.37, 1.0, 2.3, 4.55, 8.0)
PIECES = (1, 2, 5, 12, 30, 60)
Encode = Callable[[list[Tensor]], list[Tensor]]


def voice(num_samples: int, seed: int) -> Tensor:
    """Noise that rises and falls over a hum, ``(N,)``."""
    draw = torch.Generator().manual_seed(seed)
    time = torch.arange(num_samples) / 16_000
    noise = torch.randn(num_samples, generator=draw) * (1 + torch.sin(6 * time + seed))
    return (0.1 * noise + 0.2 * torch.sin(2 * torch.pi * 150 * time)).clamp(-1, 1)


def gap(encode: Encode, items: list[Tensor]) -> float:
    """Largest difference between items alone and together, in units of their rms.

    Args:
        encode: Items to states ``(F, D)`` of their true lengths, computed as one batch.
        items: Waveforms or word pieces.
    """
    with torch.inference_mode():
        alone = [encode([item])[0] for item in items]
        together = encode(items)
    scale = torch.cat([states.flatten() for states in alone]).pow(2).mean().sqrt()
    pairs = zip(together, alone, strict=True)
    return max(float((batched - single).abs().max() / scale) for batched, single in pairs)


def gradient_gap(module: nn.Module, encode: Encode, items: list[Tensor]) -> float:
    """As :func:`gap`, for the gradients of all weights of a sum over all items.

    The unit is the largest gradient of a weight; weights with next to none count by that of all.
    """
    draw = torch.Generator().manual_seed(0)
    widest = max(encode(items), key=len).shape
    weights = torch.randn(widest, generator=draw)

    def slopes(batches: list[list[Tensor]]) -> dict[str, Tensor]:
        module.zero_grad()
        for batch in batches:
            for states in encode(batch):
                (states * weights[: len(states)]).sum().backward(retain_graph=True)
        return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}

    alone, together = slopes([[item] for item in items]), slopes([items])
    largest = max(float(value.abs().max()) for value in alone.values())
    return max(
        float((together[name] - value).abs().max()) / max(float(value.abs().max()), 1e-4 * largest)
        for name, value in alone.items()
    )


def by_sermm(upstream: SpeechUpstream) -> Encode:
    def encode(clips: list[Tensor]) -> list[Tensor]:
        lengths = torch.tensor([len(clip) for clip in clips])
        features = upstream(pad_sequence(clips, batch_first=True), lengths)
        pairs = zip(features.frames, features.lengths.tolist(), strict=True)
        return [frames[:count] for frames, count in pairs]

    return encode


def by_transformers(folder: Path, upstream: SpeechUpstream, *, masked: bool | None) -> Encode:
    """The feature extractor and the model, as they are.

    Args:
        folder: Of the model.
        upstream: Of sermm, for the number of true frames.
        masked: Ask for an attention mask; None leaves it to the feature extractor.
    """
    with quiet_transformers():
        model = transformers.AutoModel.from_pretrained(folder).eval()
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    whisper = model.config.model_type == "whisper"
    options = {} if masked is None else {"return_attention_mask": masked}

    def encode(clips: list[Tensor]) -> list[Tensor]:
        inputs = extractor(
            [clip.numpy() for clip in clips],
            sampling_rate=16_000,
            padding="max_length" if whisper else True,
            return_tensors="pt",
            **options,
        )
        output = (model.encoder if whisper else model)(**inputs).last_hidden_state
        counts = [upstream.num_frames(len(clip)) for clip in clips]
        return [states[:count] for states, count in zip(output, counts, strict=True)]

    return encode


def text_by_sermm(encoder: TextEncoder) -> Encode:
    def encode(rows: list[Tensor]) -> list[Tensor]:
        padding = int(encoder.model.config.pad_token_id or 0)  # type: ignore[union-attr, arg-type]
        input_ids = pad_sequence(rows, batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(row) for row in rows])
        states = encoder(input_ids, lengths, torch.ones_like(input_ids, dtype=torch.bool))
        return [row[: len(ids)] for row, ids in zip(states, rows, strict=True)]

    return encode


def text_by_transformers(folder: Path, *, masked: bool) -> Encode:
    with quiet_transformers():
        model = transformers.AutoModel.from_pretrained(folder).eval()

    def encode(rows: list[Tensor]) -> list[Tensor]:
        padding = model.config.pad_token_id or 0
        input_ids = pad_sequence(rows, batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long()
        options = {"attention_mask": mask} if masked else {}
        states = model(input_ids=input_ids, **options).last_hidden_state
        return [row[: len(ids)] for row, ids in zip(states, rows, strict=True)]

    return encode


def speech_row(family: str, folder: Path, longest_s: float) -> dict[str, Any]:
    """Gaps of one family. Whisper's windows are 2 s here, and so are its longest clips."""
    save_speech_model(family, folder)
    upstream = build_speech_upstream("huggingface", name=str(folder))
    seconds = [s for s in (*SECONDS, longest_s) if s <= 2 or family != "whisper"]
    clips = [voice(round(16_000 * s), seed) for seed, s in enumerate(seconds)]
    return {
        "family": family,
        "frame_stride": upstream.frame_stride,
        "min_samples": upstream.min_samples,
        "sermm": gap(by_sermm(upstream), clips),
        "sermm_gradients": gradient_gap(upstream, by_sermm(upstream), clips[:5]),
        "transformers": gap(by_transformers(folder, upstream, masked=None), clips),
        "transformers_masked": None
        if family == "whisper"  # its encoder reads none
        else gap(by_transformers(folder, upstream, masked=True), clips),
    }


def text_row(family: str, folder: Path) -> dict[str, Any]:
    """Gaps of one family."""
    save_text_model(family, folder)
    encoder = TextEncoder(model=load_text_model(str(folder))).eval()
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 60, (length,), generator=draw) for length in PIECES]
    return {
        "family": family,
        "sermm": gap(text_by_sermm(encoder), rows),
        "sermm_gradients": gradient_gap(encoder, text_by_sermm(encoder), rows),
        "transformers": gap(text_by_transformers(folder, masked=False), rows),
        "transformers_masked": gap(text_by_transformers(folder, masked=True), rows),
    }


def to_markdown(record: dict[str, Any]) -> str:
    """The record as a page with two tables."""
    lines = [
        "# Alone or in a batch",
        "",
        f"`{record['command']}` on {record['date']}, {record['hardware']}, torch "
        f"{record['torch']}, transformers {record['transformers']}, revision "
        f"{str(record['git_revision'])[:12]}.",
        "",
        "Largest difference between a clip's frames alone and in one batch of clips from 0.04 to "
        f"{record['longest_s']:g} s, as a share of the frames' root mean square; the same for the "
        "gradients of a sum over the frames, as a share of each weight's largest. **Models are "
        "small and their weights random**: the figures tell rounding (1e-6) from padding that "
        "gets in, not how much a published model suffers. The plain call of transformers is held "
        "against its own clips alone. Whisper, here with windows of 2 s, pads every clip to its "
        "window, alone too, and has no mask; clips for it are no longer than 2 s.",
        "",
    ]
    for title, kind, plain in (
        ("Speech", "speech", "as its feature extractor says"),
        ("Text", "text", "without a mask"),
    ):
        lines += [
            f"## {title}",
            "",
            f"| family | sermm | sermm, gradients | transformers, {plain} "
            "| transformers, attention mask |",
            "|---|---|---|---|---|",
        ]
        for row in record[kind]:
            figures = [
                "-" if row[key] is None else f"{row[key]:.1e}"
                for key in ("sermm", "sermm_gradients", "transformers", "transformers_masked")
            ]
            lines.append(f"| {row['family']} | {' | '.join(figures)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds of the longest clip")
    parser.add_argument("--name", default="exactness", help="of the files with the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # of transformers' own WavLM, about its masks
    warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
    with tempfile.TemporaryDirectory() as place, quiet_transformers():
        speech = [
            speech_row(family, Path(place) / f"speech{i}", arguments.longest)
            for i, family in enumerate(SPEECH)
        ]
        text = [text_row(family, Path(place) / f"text{i}") for i, family in enumerate(TEXT)]
    record = {
        "command": shlex.join(["python", "benchmarks/exactness.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "git_revision": git_revision(),
        "longest_s": arguments.longest,
        "speech": speech,
        "text": text,
    }
    page = to_markdown(record)
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", page)
    print(page)


if __name__ == "__main__":
    main()
