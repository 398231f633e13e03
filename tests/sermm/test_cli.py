"""Commands as users type them: what they print, how they end, how soon they answer."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sermm.cli import run
from tests.data_modules import iemocap_tree as tree
from tests.sermm.workplace import Said, Workplace, read_json

COMMANDS = [
    "prepare",
    "check",
    "download",
    "convert-mmsa",
    "align",
    "config",
    "extract",
    "fit",
    "experiment",
    "report",
    "compare",
    "doctor",
    "predict",
    "export",
    "stress",
    "demo",
    "transcribe",
]


def assert_one_line(said: Said, *parts: str) -> None:
    """Exit status 2 and one line ``error: WHERE: expected X, got Y; do Z``."""
    assert said.status == 2, said
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert ": expected " in said.err
    assert ", got " in said.err
    assert "; " in said.err
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err, said.err


# what a user can get wrong before anything is read, and what the answer names
LIGHT = {
    "misspelt key": (["fit", "fusion_demo", "optim.lrr=1"], "did you mean optim.lr?"),
    "key of another section": (["fit", "fusion_demo", "optim.dropout=0"], "model.dropout"),
    "wrong type": (["fit", "fusion_demo", "optim.lr=fast"], "expected float, got 'fast'"),
    "no value": (["fit", "fusion_demo", "seed"], "expected key=value"),
    "range": (["fit", "fusion_demo", "model.dropout=1.5"], "model.dropout"),
    "choice": (["fit", "fusion_demo", "model.task=fussion"], "did you mean fusion?"),
    "experiment": (["experiment", "fusion_dem"], "did you mean fusion_demo?"),
    "corpus": (["fit", "fusion_demo", "data.corpus=ravdes"], "write ravdess"),
    "labels": (["fit", "fusion_demo", "data.labels=iemocap5"], "data.labels"),
    "protocol": (["experiment", "fusion_demo", "data.protocol=session5"], "data.protocol"),
    "folder not stated": (["fit", "acoustic_ravdess"], "state it as data.root=FOLDER"),
    "missing folder": (["fit", "acoustic_ravdess", "data.root=nowhere"], "nowhere, no folder"),
    "missing release": (["prepare", "ravdess", "--root", "nowhere"], "nowhere, no folder"),
    "no checkpoint": (
        ["fit", "text_demo", "model.text.name=./folder"],
        "got no config.json, no tokenizer.json, no weights",
    ),
    "no such folder": (["fit", "text_demo", "model.text.name=./nowhere"], "got no such folder"),
    "hub": (
        ["fit", "text_demo", "model.text.name=org/model"],
        "got no such folder, and a hub that cannot be reached",
    ),
    "never run": (["report", "nothing"], "run `sermm experiment nothing` first"),
    "never run, either": (["compare", "nothing", "other"], "run `sermm experiment nothing` first"),
}
# imported by nothing that only looks at what was typed
HEAVY = {
    "torch",
    "torchaudio",
    "numpy",
    "transformers",
    "lightning",
    "matplotlib",
    "wandb",
    "scipy",
    "soundfile",
}
DRIVER = """
import json, sys
from sermm.cli import run
for arguments in json.loads(sys.argv[1]):
    sys.stderr.write(f"status {run(arguments)}\\n")
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_wrong_input_is_told_in_a_line_without_loading_anything_heavy(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    cases = [arguments for arguments, _ in LIGHT.values()]
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    del environment["HF_HUB_OFFLINE"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps([["--help"], ["fit", "--help"], *cases])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stderr.splitlines()
    assert lines[:2] == ["status 0"] * 2
    assert len(lines) == 2 + 2 * len(LIGHT)
    for (_, part), line, status in zip(LIGHT.values(), lines[2::2], lines[3::2], strict=True):
        assert status == "status 2", line
        assert_one_line(Said(2, "", f"{line}\n"), part)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"sermm", "data_modules", "omegaconf"} <= modules
    assert not modules & HEAVY
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(place: Workplace, command: str) -> None:
    said = place.sermm(command, "--help")
    assert (said.status, said.err) == (0, "")
    assert f"Usage: sermm {command}" in said.out
    # in the list of commands too
    listed = place.sermm("--help").out
    assert f"\n  {command} " in listed
    assert place.sermm().out == listed


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["fitt"], "No such command 'fitt'"),
        (["fit"], "Missing argument"),
        (["fit", "fusion_demo", "--reddy"], "No such option: --reddy"),
        (["experiment"], "name an experiment"),
        (["prepare", "demo"], "Missing option '--root'"),
        (["align", "demo", "--workers", "0"], "--workers"),
        (["align", "demo", "--workers", "many"], "--workers"),
    ],
)
def test_wrong_usage_is_told_in_a_line(place: Workplace, arguments: list[str], part: str) -> None:
    said = place.sermm(*arguments)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("error: sermm")
    assert said.err.count("\n") == 1
    assert part in said.err
    assert "--help`." in said.err


def test_debug_shows_where_an_error_came_from(place: Workplace) -> None:
    plain = place.sermm("fit", "fusion_demo", "optim.lrr=1")
    wrong = ["fit", "fusion_demo", "optim.lrr=1"]
    for arguments in ([*wrong, "--debug"], ["--debug", *wrong]):
        said = place.sermm(*arguments)
        assert said.status == 2
        assert said.err.startswith("Traceback (most recent call last):")
        assert said.err.endswith(plain.err)


def empty_text(release: Path, name: str) -> None:
    path = tree.transcript_path(release, name)
    lines = path.read_text().split("\n")
    path.write_text("\n".join(f"{ln.split(':')[0]}: " if name in ln else ln for ln in lines))


BROKEN = "Ses04F_impro01_F000"


@pytest.mark.parametrize(
    ("spoil", "task", "parts"),
    [
        (tree.empty_clip, "linear", ["audio is empty: 1", "got zero bytes", "mend these files"]),
        (tree.truncate_clip, "span", ["audio is cut short: 1", "got 2956", "mend these files"]),
        (tree.remove_clip, "acoustic", ["audio is missing: 1", "got no file"]),
        (empty_text, "text", ["0 missing and 1 empty of 80", "add these transcripts"]),
        (empty_text, "attention", ["0 missing and 1 empty of 80"]),
        (tree.remove_alignment, "span", ["expected word times from corpus", "sermm align demo"]),
    ],
)
def test_a_damaged_corpus_is_told_before_anything_is_trained(
    place: Workplace, spoil: Callable[[Path, str], None], task: str, parts: list[str]
) -> None:
    release = shutil.copytree(place.release, place.folder / "release")
    spoil(release, BROKEN)
    places = (f"data.root={release}", f"data.cache={place.folder / 'cache'}")
    said = place.sermm("fit", *place.settings(task, *places))
    assert_one_line(said, BROKEN, *parts)
    assert not (place.folder / "runs").exists()


def test_what_a_task_does_not_read_may_be_damaged(place: Workplace) -> None:
    release = shutil.copytree(place.release, place.folder / "release")
    empty_text(release, BROKEN)
    tree.remove_alignment(release, BROKEN)
    places = (f"data.root={release}", f"data.cache={place.folder / 'cache'}", "optim.epochs=1")
    place.fit("linear", *places)


def test_a_failed_check_that_is_let_pass_is_noted(place: Workplace) -> None:
    release = shutil.copytree(place.release, place.folder / "release")
    empty_text(release, BROKEN)
    places = (f"data.root={release}", f"data.cache={place.folder / 'cache'}", "optim.epochs=1")
    # the empty transcript is in the training part, and special tokens alone stand for it
    folder = place.fit("span", *places, "data.allow_failed_checks=true")
    metrics = read_json(folder / "metrics.json")
    assert metrics["num_train"] == 48
    assert metrics["notes"] == ["failed check: transcripts: 0 missing and 1 empty of 80"]


def test_a_validation_speaker_forced_into_training_is_refused(place: Workplace) -> None:
    cache = shutil.copytree(place.cache, place.folder / "cache")
    if not (cache / "manifests").is_dir():
        place.fit("linear", "optim.epochs=1", f"data.cache={cache}", "name=other")
    path = cache / "manifests" / "demo.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    index = next(k for k, line in enumerate(lines) if BROKEN in line)
    # session 2 selects in fold 0, and session 4 trains
    assert '"speaker": "Ses04F"' in lines[index]
    lines[index] = lines[index].replace('"speaker": "Ses04F"', '"speaker": "Ses02F"')
    path.write_text("".join(lines))
    said = place.sermm("fit", "--ready", *place.settings("linear", f"data.cache={cache}"))
    assert_one_line(said, "demo-session5", "speaker", "Ses02F")


def test_prepare_and_check_print_what_is_there(place: Workplace) -> None:
    said = place.sermm("prepare", "demo", "--root", str(place.release), "--cache", "cache")
    assert (said.status, said.err) == (0, "")
    for part in ("neutral", "Ses05M", "80"):
        assert part in said.out
    again = place.sermm("check", "demo", "--cache", "cache")
    assert again.status == 0
    assert "transcripts" in again.out


def test_a_failed_check_is_1_and_not_2(place: Workplace) -> None:
    release = shutil.copytree(place.release, place.folder / "release")
    tree.empty_clip(release, BROKEN)
    said = place.sermm("prepare", "demo", "--root", str(release))
    assert said.status == 1
    assert said.err.startswith("error: checks of demo: expected all to pass, got audio files: ")
    assert said.err.count("\n") == 1
    again = place.sermm("check", "demo")
    assert (again.status, again.err) == (1, said.err)


def test_a_corpus_must_be_prepared_before_it_is_checked(place: Workplace) -> None:
    assert_one_line(place.sermm("check", "nemo"), "run `sermm prepare nemo --root DIR`")


def test_extract_fills_the_cache_once(place: Workplace) -> None:
    arguments = place.settings("linear", f"data.cache={place.folder / 'a [new] cache'}")
    said = place.sermm("extract", *arguments)
    assert said.status == 0
    assert said.out.startswith("logmel: 80 clips, about 0 MiB in ")
    # whole, on one line, with its brackets
    assert f"{place.folder}/a [new] cache/features/" in said.out
    assert place.sermm("extract", *arguments) == Said(0, "", "")


def test_align_says_how_many_words_each_source_gave(place: Workplace) -> None:
    place.sermm("prepare", "demo", "--root", str(place.release), "--cache", "cache")
    said = place.sermm(
        "align", "demo", "--aligner", "uniform", "--cache", "cache", "--workers", "1"
    )
    assert (said.status, said.err) == (0, "")
    assert "uniform (100.0%) in 80 utterances" in said.out
    assert_one_line(place.sermm("align", "demo", "--aligner", "mfa", "--cache", "cache"), "uniform")


def test_config_prints_what_it_resolved(place: Workplace) -> None:
    said = place.sermm("config", "linear_demo", "seed=7", "tracking.entity=null")
    assert "\nseed: 7\n" in said.out
    (place.folder / "mine.yaml").write_text(said.out)
    assert place.sermm("config", "mine.yaml").out == said.out


def test_experiments_are_listed(place: Workplace) -> None:
    names = place.sermm("experiment", "--list").out.split()
    assert {"fusion_demo", "acoustic_ravdess"} <= set(names)
    assert names == sorted(names)


def test_doctor_tells_the_state_of_things(place: Workplace) -> None:
    place.sermm("prepare", "demo", "--root", str(place.release), "--cache", "cache")
    said = place.sermm("doctor", "--cache", "cache")
    assert (said.status, said.err) == (0, "")
    for part in ("torch", "2.11", "not logged in", "80 utterances", "not prepared"):
        assert part in said.out


@pytest.mark.parametrize(
    ("number", "status"), [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOSPC, 1)]
)
def test_a_place_that_takes_no_file_is_told_in_a_line(
    number: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine(cache: Path) -> None:
        raise OSError(number, os.strerror(number), str(cache))

    monkeypatch.setattr("sermm.doctor.examine", examine)
    assert run(["doctor", "--cache", "there"]) == status
    said = capsys.readouterr().err
    assert said.startswith(f"error: there: {os.strerror(number)}; ")
    assert said.count("\n") == 1
    with pytest.raises(OSError, match="there"):
        run(["doctor", "--cache", "there", "--debug"])


def test_a_file_that_cannot_be_written_is_told_before_anything_is_judged(place: Workplace) -> None:
    place.fit("linear", "name=base", "optim.epochs=1")
    clip = str(tree.clip_path(place.release, "Ses01F_impro01_F000"))
    (place.folder / "taken").write_text("")
    for output, told in ((".", "--output: expected a file"), ("taken/x.csv", "taken: File exists")):
        said = place.sermm("predict", "base", clip, "--output", output)
        assert (said.status, said.out) == (2, "")
        assert f"error: {told}" in said.err
        assert "Traceback" not in said.err
