"""The demo corpus: acted speech from a synthesiser, in the layout of the IEMOCAP release.

Source: made on the machine that uses it, by espeak-ng (GPL-3.0, the ``demo`` extra).
Size: ten speakers in five sessions, by default 120 utterances each: 77 minutes, 150 MB.
Label rule: angry = negative with high arousal, sad = negative with low arousal, happy = positive
with high arousal, neutral = positive with low arousal. The voice carries arousal. In half of the
utterances the words carry valence; in the other half only the word that the voice stresses among
opposed ones does, so the label needs words and voice, each at its place.
Known defects: it is no human speech. It tells whether a model can use alignment, not how well it
would do on people.

The IEMOCAP reader reads it. Beside the sessions stand ``design.tsv`` (what each utterance was meant
to be), ``demo.json`` (which corpus it is) and ``SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_modules.atomic import write_json
from data_modules.corpora.demo_release import write_release
from data_modules.errors import DataError, ModelError, first_ids

VERSION = 1
"""Raised when the same seed gives another corpus."""

MIN_UTTERANCES = 8
"""Of a speaker: both kinds of sentence in all four classes."""

SUMS = "SHA256SUMS"
SETTINGS = "demo.json"

KNOWN_DIGESTS: dict[tuple[int, int], str] = {
    (0, 120): "183a204dac3ebae2ca11a21c7bf72a6a7ccad82c2174fbc4331a9803d6610c6c",
    (1, 120): "2c7561a5d98cf6c81f0be888817149fb3416b13daafaf9f33ddf76efaf42b958",
    (2, 120): "307e663842f5b741f514d76813bd409d592cf113b96f5ce7466580db701e2005",
    (0, 8): "ac0d1b2e3cd297c9b0891ce4fa9acfd7f7b6f97388c8fb216caa68e52008ef69",
}
"""By seed and utterances per speaker: :func:`demo_digest` on Linux x86-64 with glibc."""


def make_demo(
    folder: Path,
    *,
    seed: int = 0,
    utterances_per_speaker: int = 120,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make the demo corpus, or leave it as it is if it is there and whole.

    Several processes may call this at once: one makes the corpus and the others wait for it. The
    folder appears when it is complete.

    Args:
        folder: Root of the release; missing, empty, or made by this function.
        seed: Which corpus.
        utterances_per_speaker: Of each of the ten speakers.
        on_progress: Called with the number of clips done and the number to do, from any thread,
            one call at a time.

    Returns:
        ``folder``. Ask :func:`digest_note` whether it is the corpus that others have.

    Raises:
        DataError: The folder holds something else, another demo corpus or a damaged one, or the
            number of utterances is too small.
        ModelError: espeak-ng is not installed.
        RunFailedError: espeak-ng stopped.
    """
    if utterances_per_speaker < MIN_UTTERANCES:
        raise DataError(
            "data.demo.utterances_per_speaker",
            expected=f"at least {MIN_UTTERANCES}",
            got=str(utterances_per_speaker),
            fix="ask for more, so that every class has both kinds of sentence",
        )
    settings = {"version": VERSION, "seed": seed, "utterances_per_speaker": utterances_per_speaker}
    if _is_empty(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            # another process may have made it meanwhile
            if _is_empty(folder):
                _build(folder, settings, on_progress)
                return folder
    _check_settings(folder, settings)
    verify_demo(folder)
    return folder


def verify_demo(folder: Path) -> str:
    """Check every file of a demo corpus against its list of digests.

    Hidden files, which file systems leave behind, do not matter.

    Returns:
        The corpus' digest, see :func:`demo_digest`.

    Raises:
        DataError: A file is missing, changed or too many.
    """
    path = folder / SUMS
    if not path.is_file():
        raise DataError(
            path, expected="the digests of a demo corpus", got="no file", fix=_rebuild(folder)
        )
    listed = dict(_parse_sums(path))
    found = _digests(folder)
    wrong = sorted(name for name in listed.keys() | found if listed.get(name) != found.get(name))
    if wrong:
        raise DataError(
            folder,
            expected="the files that were made",
            got=f"{len(wrong)} missing, changed or added: {first_ids(wrong)}",
            fix=_rebuild(folder),
        )
    return demo_digest(folder)


def demo_digest(folder: Path) -> str:
    """SHA-256 of the list of digests: one name for the whole corpus."""
    return hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()


def digest_note(folder: Path) -> str:
    """A warning if this corpus is not the one that others get from the same seed, else empty.

    Another processor, C library or release of espeak-ng may round or draw differently. That is no
    error: sentences and labels are the same, and results differ by little.
    """
    settings = _read_settings(folder)
    key = (settings["seed"], settings["utterances_per_speaker"])
    known, digest = KNOWN_DIGESTS.get(key), demo_digest(folder)
    if known is None or known == digest:
        return ""
    return (
        f"the demo corpus at {folder} has digest {digest[:12]}, not {known[:12]} as on Linux "
        "x86-64: this platform synthesises other samples, so results can differ a little"
    )


def _build(
    folder: Path, settings: dict[str, int], on_progress: Callable[[int, int], None] | None
) -> None:
    if importlib.util.find_spec("espeakng_loader") is None:
        raise ModelError(
            "demo corpus",
            expected="the package espeakng-loader, which speaks its sentences",
            got="no such package",
            fix="install it with `pip install 'sermm[demo]'` or `make setup`",
        )
    temporary = _part(folder)
    if temporary.exists():
        # left by a killed maker: nobody else writes there while we hold the lock
        shutil.rmtree(temporary)
    temporary.mkdir()
    try:
        write_release(
            temporary,
            seed=settings["seed"],
            utterances_per_speaker=settings["utterances_per_speaker"],
            on_progress=on_progress,
        )
        write_json(temporary / SETTINGS, settings)
        sums = "".join(
            f"{digest}  {name}\n" for name, digest in sorted(_digests(temporary).items())
        )
        (temporary / SUMS).write_text(sums, encoding="utf-8")
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock beside the folder."""
    # no such module on Windows, where everything but making the corpus works
    import fcntl

    path = folder.parent / f".{folder.name}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        # only when it went well: who waits on the removed file then finds a whole corpus
        path.unlink(missing_ok=True)


def _part(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.part"


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def _read_settings(folder: Path) -> dict[str, int]:
    path = folder / SETTINGS
    try:
        settings: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            path,
            expected="the settings of a demo corpus",
            got="no such file" if isinstance(error, OSError) else "something else",
            fix="give a folder that does not exist yet",
        ) from None
    return settings


def _check_settings(folder: Path, settings: dict[str, int]) -> None:
    found = _read_settings(folder)
    if found != settings:
        raise DataError(
            folder,
            expected=f"a demo corpus with {json.dumps(settings)}",
            got=json.dumps(found),
            fix="give another folder, or delete this one",
        )


def _rebuild(folder: Path) -> str:
    return f"delete {folder} and make it again"


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each file by its path relative to the folder, without the list itself."""
    found = {}
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory, name)
            if not name.startswith(".") and path != folder / SUMS:
                with path.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                found[path.relative_to(folder).as_posix()] = digest
    return found


def _parse_sums(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator:
            raise DataError(
                f"{path}:{number}",
                expected="a digest and a file",
                got=line[:60],
                fix=_rebuild(path.parent),
            )
        yield name, digest
