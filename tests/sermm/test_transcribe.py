"""Recognised words as a condition of an experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from torchaudio.functional import edit_distance

from tests.data_modules.tiny_ctc import write_tiny_ctc
from tests.data_modules.tiny_whisper import write_tiny_whisper
from tests.sermm.workplace import Workplace, read_json

MODELS: dict[str, Callable[[Path], Path]] = {
    "ctc": write_tiny_ctc,
    "whisper": partial(write_tiny_whisper, multilingual=False),
    "whisper of many languages": partial(write_tiny_whisper, multilingual=True),
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_corpus_is_recognised_once_and_read_as_a_condition(place: Workplace, kind: str) -> None:
    cache = place.folder / "cache"
    model = str(MODELS[kind](place.folder / "recogniser"))
    plain = place.fit("none", f"data.cache={cache}", "optim.epochs=1", "name=read")
    arguments = ("transcribe", "demo", "--model", model, "--cache", str(cache), "--device", "cpu")
    said = place.sermm(
        "fit", *place.settings("none", f"data.cache={cache}", "data.text=recognised")
    )
    assert (said.status, "sermm transcribe demo" in said.err) == (2, True), said
    said = place.sermm(*arguments)
    assert said.status == 0, said
    assert "80 clips recognised now, 0 before" in said.out
    printed = re.search(r"word error rate: ([\d.]+) % over 80 utterances", said.out)
    assert printed is not None, said
    assert float(printed[1]) == pytest.approx(100 * rate_of_errors(cache), abs=0.051)
    assert "0 clips recognised now, 80 before" in place.sermm(*arguments).out
    heard = place.fit(
        "none", f"data.cache={cache}", "optim.epochs=1", "name=heard", "data.text=recognised"
    )
    notes = read_json(heard / "metrics.json")["notes"]
    assert any("recognised by" in note and "not the reference" in note for note in notes)
    first, second = (read_json(run / "metrics.json") for run in (plain, heard))
    assert first["fingerprint"] != second["fingerprint"]
    assert first["data_sha256"] != second["data_sha256"]
    # the reference is still there
    manifest = (cache / "manifests" / "demo.jsonl").read_text()
    assert "lovely" in manifest


def rate_of_errors(cache: Path) -> float:
    """Replaced, missing and added words over those of the reference, counted by torchaudio."""
    heard = read_json(cache / "manifests" / "demo.recognised.json")["texts"]
    lines = (cache / "manifests" / "demo.jsonl").read_text().splitlines()
    reference = {one["id"]: one["text"] for one in map(json.loads, lines)}
    pairs = [(bare(text), bare(heard[name]["text"])) for name, text in reference.items()]
    counts = [(edit_distance(true, said), len(true)) for true, said in pairs]
    return sum(errors for errors, _ in counts) / sum(words for _, words in counts)


def bare(text: str) -> list[str]:
    """Words without anything but letters and digits."""
    words = (re.sub(r"[^a-z0-9]", "", word) for word in text.lower().split())
    return [word for word in words if word]
