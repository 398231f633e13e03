"""EmoDB, the Berlin database of emotional speech: ten actors, ten sentences, acted German.

Source: https://github.com/audeering/emodb (F. Burkhardt et al., Interspeech 2005).
Licence: CC0 1.0, as its release repository states.
Size: 535 clips, 10 speakers, 16 kHz mono (anger 127, boredom 81, disgust 46, fear 69,
happiness 71, neutral 79, sadness 62).
Labels: the letter at place six of the name ``03a01Fa`` (speaker, sentence, emotion, version), the
initial of the German word.

``words.tsv`` beside ``wav/`` (columns file, index, word, start, end) gives word times where it is
there; ``sentences.tsv`` (code, text) gives the sentences as that copy has them, else the published
ones are built in; ``clip_lengths.tsv`` states original lengths, so that cut clips show.

Known defects: in ``a05`` the actors say "Blatt" where the published list has "Stück"; it is the
published list that is built in. Some copies are cut at two seconds: words that end after the audio
end with it, words that begin after it lose their times (both counted), and the text stays whole.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
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
from data_modules.labels import ClassScheme
from data_modules.manifest import Utterance, Word

_NAME = re.compile(
    r"(?P<speaker>[0-9]{2})(?P<sentence>[ab][0-9]{2})(?P<emotion>[WLEAFNT])[a-z]?", re.ASCII
)
# initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, neutral, Trauer
_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
_MALE = {"03", "10", "11", "12", "15"}
_FEMALE = {"08", "09", "13", "14", "16"}
_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


TWICE = "table row of what an earlier row is about, not used"


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The folder that holds ``wav/``, or ``wav/`` itself.

    Raises:
        CorpusNotFoundError: There are no clips with EmoDB's names.
    """
    release = Release()
    folder = root / "wav" if (root / "wav").is_dir() else root
    files = list_files(folder, (".wav", ".flac"), root, release)
    if not any(_NAME.fullmatch(path.stem) for path in files):
        raise not_found("EmoDB", root, "wav/ with clips such as 03a01Fa.wav")
    tables = root if folder != root else root.resolve().parent
    sentences = _read_sentences(tables, root, release)
    words = _read_words(tables, root, release)
    lengths = _read_lengths(tables, root, release)
    clips = one_format_each(files, root, release)
    for name in sorted((words.keys() | lengths.keys()) - {path.stem for path in clips}):
        release.note(name, "times or length of a clip that is not there")
    for path in clips:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            release.exclude(
                relative(path, root), "file name that cannot be read", "expected 03a01Fa"
            )
            continue
        text = sentences.get(match["sentence"])
        if text is None:
            release.note(path.stem, "no transcript", f"no sentence {match['sentence']}")
        if (tables / "words.tsv").is_file() and path.stem not in words:
            release.note(path.stem, "no word times (words.tsv)")
        if path.stem in lengths:
            release.stated_s[path.stem] = lengths[path.stem]
        release.utterances.append(
            Utterance(
                id=path.stem,
                corpus="emodb",
                audio=relative(path, root),
                speaker=match["speaker"],
                gender=_gender(match["speaker"]),
                script=match["sentence"],
                text=text,
                words=words.get(path.stem, ()),
                labels={"category": match["emotion"]},
            )
        )
    return release


def _gender(speaker: str) -> str | None:
    return "male" if speaker in _MALE else "female" if speaker in _FEMALE else None


def _read_sentences(folder: Path, root: Path, release: Release) -> dict[str, str]:
    path = folder / "sentences.tsv"
    found: dict[str, str] = {}
    for number, (code, text) in read_table(path, ("code", "text"), root, release):
        if code in found:
            release.note(f"{relative(path, root)}:{number}", TWICE, code)
        else:
            found[code] = text
    return _SENTENCES | found


def _read_lengths(folder: Path, root: Path, release: Release) -> dict[str, float]:
    path = folder / "clip_lengths.tsv"
    lengths: dict[str, float] = {}
    for number, (name, text) in read_table(path, ("file", "original_seconds_16k"), root, release):
        where, length = f"{relative(path, root)}:{number}", _seconds(text)
        if not length:
            release.note(where, "length that cannot be read", f"{name}: {text!r}")
        elif name in lengths:
            release.note(where, TWICE, name)
        else:
            lengths[name] = length
    return lengths


def _read_words(folder: Path, root: Path, release: Release) -> dict[str, tuple[Word, ...]]:
    """Word times by clip; a clip with a row that cannot be read has none, and is noted."""
    path = folder / "words.tsv"
    words: dict[str, list[Word]] = defaultdict(list)
    spoilt: set[str] = set()
    rows = read_table(path, ("file", "word", "start", "end"), root, release)
    for number, (name, word, start_text, end_text) in rows:
        start, end = _seconds(start_text), _seconds(end_text)
        before = words[name][-1].end_s if words[name] else 0.0
        if start is None or end is None or not before <= start <= end or not word:
            spoilt.add(name)
            release.note(
                f"{relative(path, root)}:{number}",
                "word times that cannot be read",
                f"expected times in order, got {start_text} to {end_text}",
            )
        else:
            words[name].append(Word(word, start, end, source="corpus"))
    return {name: tuple(found) for name, found in words.items() if name not in spoilt}


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


CORPUS = Corpus(
    name="emodb",
    title="EmoDB",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="emodb7",
            names=tuple(_EMOTIONS.values()),
            source="category",
            mapping=_EMOTIONS,
        ),
    ),
    language="de",
    licence="CC0 1.0",
    source="https://github.com/audeering/emodb",
    protocol="emodb-speaker5",
    published=Published(
        what="clips",
        total=535,
        classes={
            "anger": 127,
            "boredom": 81,
            "disgust": 46,
            "fear": 69,
            "happiness": 71,
            "neutral": 79,
            "sadness": 62,
        },
    ),
)
