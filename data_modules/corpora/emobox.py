"""EmoBox: manifests and folds of 32 speech emotion corpora in 14 languages, one at a time.

Source: https://github.com/emo-box/EmoBox (Z. Ma et al., Interspeech 2024).
Licence: MIT for the manifests; the audio has its own licences, corpus by corpus.
Layout: the root is one corpus' folder of a checkout, ``EmoBox/data/NAME``, with ``NAME.jsonl``, a
map of labels and ``fold_1``, ``fold_2``, ... Audio paths in the manifests begin with
``downloads/NAME/`` and are looked for in the folder itself, the one above and the one above that,
so that ``EmoBox/downloads`` is found where EmoBox puts it.
Labels: ``emo`` of each line through ``label_map.json`` (EMOVO: ``label_dict.json``), which makes
the scheme ``emobox``: its classes in the order of the map, as far as the manifest has them. "No
agreement", "other" and "unknown" are no classes. A label that the map spells with other capitals
is taken for the same (EmoDB's ``neutral``).
Parts: with several folds, the fold that an utterance is tested in (protocol ``emobox-folds``); with
one, ``train``, ``val``, ``test`` (``test1``, ... for MER2023). Only MELD, M3ED and MSP-Podcast have
a ``val`` (``emobox-standard``); for the others ``emobox-folds`` draws it from the training part.
Speakers: the manifests do not name them. They are read from the keys of the corpora below, where
the number of names agrees with the published one; for IEMOCAP it is the last part of the key and
not the first that says who speaks. Elsewhere there are none, which is noted.

Known defects: the single splits of AESDD, ASED, CREMA-D, eNTERFACE, EmoV-DB, Oreau, ShEMO, TESS,
TurEV-DB and URDU and all folds of EmoDB test speakers that they train on; ``emobox-speakerK`` does
not. MELD's ``channel`` asks for one of six channels, sermm takes the mean of all. Each corpus
replaces the manifest of the one before: give each its own ``data.cache``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from data_modules.corpora.iemocap_files import parse_name
from data_modules.corpora.release import OTHER_FILES, Corpus, Release, not_found, relative
from data_modules.corpora.rows import BAD_ROW, Row, read_jsonl
from data_modules.errors import ManifestError
from data_modules.labels import ClassScheme
from data_modules.manifest import Utterance
from data_modules.plain_json import parse_json

_NO_CLASSES = {
    "No-agreement": "raters do not agree",
    "Other": "another emotion",
    "UnKnown": "unknown emotion",
}
_MAPS = ("label_map.json", "label_dict.json")
# whole numbers of JSON may be larger than a float can hold
_ENDLESS = 1e300
_PARTS = {"train": "train", "valid": "val"}
# where the speaker stands in a key, without the name of the corpus before it
_SPEAKERS = {
    "ased": r".*-([0-9]+)",
    "cafe": r"([0-9]{2})-.*",
    "casia": r"[0-9]+-([a-z]+)-.*",
    "cremad": r"([0-9]{4})-.*",
    "emodb": r"([0-9]{2}).*",
    "emovdb": r"([a-z]+)-.*",
    "emovo": r".*-([fm][0-9])-.*",
    "enterface": r"s_?([0-9]+)_.*",
    "esd": r"([0-9]{4})-.*",
    "jlcorpus": r"((?:fe)?male[0-9])-.*",
    "mead": r"([MW][0-9]+)-.*",
    "oreau": r"([0-9]{2}).*",
    "polish": r"([mf][0-9])\..*",
    "ravdess": r".*-([0-9]{2})",
    "savee": r"([A-Z]{2})-.*",
    "shemo": r"([MF][0-9]{2}).*",
    "subesco": r"([FM]_[0-9]{2})_.*",
    "tess": r"([OY]AF)-.*",
    "turevdb": r"([0-9]{4})_.*",
    "urdu": r"(S[MF][0-9]+)_.*",
}


@dataclass(frozen=True, slots=True)
class _Folder:
    """One corpus of EmoBox on disk."""

    root: Path
    name: str

    @property
    def manifest(self) -> Path:
        return self.root / f"{self.name}.jsonl"


def read(root: Path) -> Release:
    """Read the manifest and the folds of one corpus.

    Args:
        root: ``EmoBox/data/NAME``.

    Raises:
        CorpusNotFoundError: There is no manifest with folds, or none of its audio.
    """
    folder = _find(root)
    release = Release()
    rows = _rows(folder, release)
    parts = _read_parts(folder, rows.keys(), release)
    base = _audio_base(folder, rows)
    for key in sorted(parts.keys() - rows.keys()):
        release.exclude(key, "in a fold but not in the manifest")
    for key, row in rows.items():
        if key not in parts:
            release.exclude(key, "in no part or fold", row.where)
        elif len(parts[key]) > 1:
            release.exclude(key, "in several parts or folds", ", ".join(sorted(parts[key])))
        else:
            utterance = _utterance(folder, row, base, next(iter(parts[key])), release)
            release.utterances.append(utterance)
    if release.utterances and not any(u.speaker for u in release.utterances):
        release.note(folder.name, "no speakers", "the manifests name none", len(release.utterances))
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def schemes_of(root: Path) -> tuple[ClassScheme, ...]:
    """The scheme that the map of labels states, for the labels that the manifest has.

    Raises:
        CorpusNotFoundError: There is no manifest with folds.
        ManifestError: The map is missing, or not one from labels to names.
    """
    folder = _find(root)
    stated = _label_map(folder)
    rows = read_jsonl(folder.manifest, root, Release())
    found = {emo for row in rows if isinstance(emo := row.values.get("emo"), str)}
    mapping = {emo: name for emo in found if (name := _name(emo, stated))}
    scheme = ClassScheme(
        name="emobox",
        names=tuple(
            name
            for name in dict.fromkeys(stated.values())
            if name in mapping.values() and name not in _NO_CLASSES
        ),
        source="category",
        mapping={emo: name for emo, name in sorted(mapping.items()) if name not in _NO_CLASSES},
        left_out={
            emo: _NO_CLASSES[name] for emo, name in sorted(mapping.items()) if name in _NO_CLASSES
        },
    )
    return (scheme,)


def _find(root: Path) -> _Folder:
    name = root.resolve().name
    if (root / f"{name}.jsonl").is_file():
        return _Folder(root, name)
    found = sorted(root.glob("*.jsonl"))
    if len(found) != 1 or not any(root.glob("fold_*")):
        raise not_found("a corpus of EmoBox", root, "NAME.jsonl, label_map.json and fold_1/")
    return _Folder(root, found[0].stem)


def _label_map(folder: _Folder) -> dict[str, str]:
    path = next((folder.root / n for n in _MAPS if (folder.root / n).is_file()), None)
    value = None
    if path is not None:
        try:
            value = parse_json(path.read_bytes())
        except ValueError:
            value = None
    if not (isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values())):
        raise ManifestError(
            path or folder.root / _MAPS[0],
            expected="an object that maps labels to names",
            got="another content" if path else "no file",
            fix="copy it from EmoBox",
        )
    return value


def _name(emo: str, stated: Mapping[str, str]) -> str | None:
    """Name of a label by the map; None if it has none, or several but for capitals."""
    if emo in stated:
        return stated[emo]
    alike = {name for label, name in stated.items() if label.casefold() == emo.casefold()}
    return alike.pop() if len(alike) == 1 else None


def _rows(folder: _Folder, release: Release) -> dict[str, Row]:
    """Usable lines of the manifest by key."""
    rows: dict[str, Row] = {}
    for row in read_jsonl(folder.manifest, folder.root, release):
        values = [row.values.get(name) for name in ("key", "wav", "emo")]
        if not all(isinstance(value, str) and value for value in values):
            release.exclude(row.where, BAD_ROW, f"expected key, wav and emo as text, got {values}")
        elif row.values.get("type", "raw") != "raw":
            release.exclude(row.where, "features in place of audio", str(row.values["type"]))
        elif values[0] in rows:
            release.exclude(row.where, "listed twice", f"{values[0]}, at {rows[values[0]].where}")
        else:
            rows[str(values[0])] = row
    return rows


def _audio_base(folder: _Folder, rows: Mapping[str, Row]) -> Path:
    """The folder that audio paths are relative to: the nearest that has the first step of one."""
    steps = {next(iter(Path(row["wav"]).parts), ".") for row in rows.values()}
    places = (folder.root, folder.root.resolve().parent, folder.root.resolve().parent.parent)
    for place in places:
        if any(_exists(place / step) for step in steps):
            return place
    raise not_found(
        f"{folder.name} of EmoBox",
        folder.root,
        f"{', '.join(sorted(steps)) or 'audio'}/ here, or in one of the two folders above",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # a name that is longer than names may be
        return False


def _read_parts(folder: _Folder, known: Set[str], release: Release) -> dict[str, set[str]]:
    """The parts, or the folds whose test part, each key stands in; ``known`` is the manifest."""
    folds = sorted(folder.root.glob("fold_*"), key=lambda path: (len(path.name), path.name))
    parts: dict[str, set[str]] = defaultdict(set)
    for fold in folds:
        lists = _read_lists(folder, fold, release)
        if len(folds) == 1:
            for part, keys in lists.items():
                for key in keys:
                    parts[key].add(_PARTS.get(part, part))
            continue
        tested = set().union(*(keys for part, keys in lists.items() if part.startswith("test")))
        for key in tested:
            parts[key].add(fold.name)
        for key in sorted(tested & lists.get("train", set())):
            release.note(key, "trained on and tested in the same fold", fold.name)
        for key in sorted(set().union(*lists.values()) - tested - known):
            release.note(key, "trained on in a fold but not in the manifest", fold.name)
    return parts


def _read_lists(folder: _Folder, fold: Path, release: Release) -> dict[str, set[str]]:
    """Keys by part (``train``, ``valid``, ``test``, ``test1``, ...) of one fold."""
    name = re.compile(
        rf"{re.escape(folder.name)}_(train|valid|test[0-9]?)_{re.escape(fold.name)}\.jsonl"
    )
    lists: dict[str, set[str]] = {}
    for path in sorted(fold.iterdir()):
        match = name.fullmatch(path.name)
        where = relative(path, folder.root)
        if match is None:
            release.ignore(where, OTHER_FILES)
            continue
        keys = []
        for row in read_jsonl(path, folder.root, release):
            key = row.values.get("key")
            if isinstance(key, str) and key:
                keys.append(key)
            else:
                release.note(row.where, "line of a fold without a key")
        lists[match[1]] = set(keys)
        _note_repeats(where, keys, release)
    numbered = set().union(*(lists[part] for part in lists if part[-1].isdigit()))
    # MER2023 has its first test part under two names
    if numbered and lists.get("test", set()) <= numbered:
        lists.pop("test", None)
    return lists


def _note_repeats(where: str, keys: Iterable[str], release: Release) -> None:
    repeated = sum(number - 1 for number in Counter(keys).values())
    if repeated:
        release.note(where, "keys that are listed again", count=repeated)


def _utterance(folder: _Folder, row: Row, base: Path, part: str, release: Release) -> Utterance:
    key: str = row["key"]
    inner = key.removeprefix(f"{folder.name}-")
    start, end, length = (_seconds(row.values.get(k)) for k in ("start_time", "end_time", "length"))
    if start is None or end is None or start >= end:
        if "start_time" in row.values or "end_time" in row.values:
            release.note(key, "times that cannot be read: the whole file", row.where)
        start, end = None, None
        if length is not None:
            release.stated_s[key] = length
    turn = parse_name(inner) if folder.name == "iemocap" else None
    pattern = _SPEAKERS.get(folder.name)
    match = re.fullmatch(pattern, inner) if pattern else None
    return Utterance(
        id=key,
        corpus="emobox",
        audio=relative(base / row["wav"], folder.root),
        start_s=start,
        end_s=end,
        speaker=turn.speaker if turn else match[1] if match else None,
        session=turn.session if turn else None,
        dialogue=turn.dialogue if turn else None,
        gender=turn.gender if turn else None,
        script=turn.script if turn else None,
        part=part,
        labels={"category": row["emo"]},
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _ENDLESS:
        return float(value)
    return None


CORPUS = Corpus(
    name="emobox",
    title="EmoBox (one of its corpora)",
    read=read,
    version=1,
    schemes=(),
    language="und",
    licence="MIT (manifests); audio: that of each corpus",
    source="https://github.com/emo-box/EmoBox",
    protocol="emobox-folds",
    schemes_of=schemes_of,
)
