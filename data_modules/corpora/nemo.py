"""nEMO: nine actors read ninety sentences in six emotional states, Polish.

Source: https://github.com/amu-cai/nEMO (I. Christop, LREC-COLING 2024).
Licence: CC BY-NC-SA 4.0, non-commercial use only.
Size: 4,481 clips, 9 speakers, 24 kHz mono, a little over three hours.
Labels: the state that the actor was asked for (column ``emotion`` of ``data.tsv``), which the file
name ``SPEAKER_emotion_sentence.wav`` repeats.

Known defects: ``speaker_id`` carries leading blanks; copies hold FLAC where ``file_id`` says
``.wav``; not every speaker has every state. Each sentence is read in every state, so text alone
must be at chance.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_modules.corpora.release import (
    Corpus,
    Published,
    Release,
    list_files,
    not_found,
    one_format_each,
    read_table,
    relative,
)
from data_modules.labels import ClassScheme, same_names
from data_modules.manifest import Utterance

_COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
_STATES = same_names("anger", "fear", "happiness", "neutral", "sadness", "surprised")
_NAME = re.compile(r"(?P<speaker>\w+)_(?P<emotion>[a-z]+)_(?P<sentence>[0-9]+)", re.ASCII)


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The folder with ``data.tsv`` and ``samples/``, or the one above ``nEMO``.

    Raises:
        CorpusNotFoundError: There is no ``data.tsv``.
    """
    base = next((at for at in (root, root / "nEMO") if (at / "data.tsv").is_file()), None)
    if base is None:
        raise not_found("nEMO", root, "data.tsv and samples/")
    release = Release()
    table = base / "data.tsv"
    files = list_files(base / "samples", (".wav", ".flac"), root, release)
    clips = {path.stem: path for path in one_format_each(files, root, release)}
    listed: set[str] = set()
    for number, (file_id, emotion, text, speaker, gender) in read_table(
        table, _COLUMNS, root, release
    ):
        where = f"{relative(table, root)}:{number}"
        name = Path(file_id).stem
        match = _NAME.fullmatch(name)
        if match is None:
            release.exclude(where, "file name that cannot be read", f"got {file_id!r}")
        elif (match["speaker"], match["emotion"]) != (speaker, emotion):
            listed.add(name)
            release.exclude(
                name, "row and file name contradict each other", f"{where}: {speaker}, {emotion}"
            )
        elif name in listed:
            release.exclude(where, "listed twice", name)
        else:
            listed.add(name)
            if not text:
                release.note(name, "no transcript", f"{where}: raw_text is empty")
            release.utterances.append(
                Utterance(
                    id=name,
                    corpus="nemo",
                    # a clip that is missing is named where the release would have it
                    audio=relative(clips.get(name, base / "samples" / file_id), root),
                    speaker=speaker,
                    gender=gender if gender in ("female", "male") else None,
                    script=match["sentence"],
                    text=text,
                    labels={"category": emotion},
                )
            )
    for name in sorted(clips.keys() - listed):
        release.exclude(name, "audio without a label", relative(clips[name], root))
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


CORPUS = Corpus(
    name="nemo",
    title="nEMO",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="nemo6",
            names=tuple(_STATES),
            source="category",
            mapping=_STATES,
        ),
    ),
    language="pl",
    licence="CC BY-NC-SA 4.0, non-commercial",
    source="https://github.com/amu-cai/nEMO",
    protocol="nemo-speaker5",
    published=Published(what="clips", total=4481),
)
