"""Recognised words as a condition of an experiment."""

from __future__ import annotations

from tests.data_modules.tiny_ctc import write_tiny_ctc
from tests.sermm.workplace import Workplace, read_json


def test_a_corpus_is_recognised_once_and_read_as_a_condition(place: Workplace) -> None:
    cache = place.folder / "cache"
    model = str(write_tiny_ctc(place.folder / "ctc"))
    plain = place.fit("none", f"data.cache={cache}", "optim.epochs=1", "name=read")
    arguments = ("transcribe", "demo", "--model", model, "--cache", str(cache), "--device", "cpu")
    said = place.sermm(
        "fit", *place.settings("none", f"data.cache={cache}", "data.text=recognised")
    )
    assert (said.status, "sermm transcribe demo" in said.err) == (2, True), said
    said = place.sermm(*arguments)
    assert said.status == 0, said
    assert "80 clips recognised now, 0 before" in said.out
    assert "word error rate: " in said.out
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
