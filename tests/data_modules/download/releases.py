"""Each downloadable corpus in small, in the layout of its release, on a server on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from data_modules.download.sources import SOURCES, RemoteFile, Source
from tests.data_modules.download.server import Act, Server

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime\n"
)
NEMO_HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
VOTES_HEADER = (
    '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote","meanEmoResp",'
    '"meanAngerResp","meanDisgustResp","meanFearResp","meanHappyResp","meanNeutralResp",'
    '"meanSadResp","medianEmoResp","meanEmoRespNorm","meanAngerRespNorm","meanDisgustRespNorm",'
    '"meanFearRespNorm","meanHappyRespNorm","meanNeutralRespNorm","meanSadRespNorm",'
    '"medianEmoRespNorm"\n'
)


def wav(seed: int) -> bytes:
    """Half a second of 16 kHz mono, another for each seed."""
    import numpy as np

    from tests.data_modules.iemocap_tree import wav_bytes

    return wav_bytes((3000 * np.sin(np.arange(8000) * (seed + 1) / 40)).astype(np.int16))


# clips of CREMA-D; the last two are the same audio under two labels, as happens in the release
CREMAD_CLIPS = {
    "1001_DFA_ANG_XX": wav(1),
    "1002_IEO_HAP_HI": wav(2),
    "1006_TIE_HAP_XX": wav(3),
    "1006_TIE_NEU_XX": wav(3),
}


def pointer(content: bytes) -> bytes:
    """What Git LFS leaves in the place of a file."""
    digest = hashlib.sha256(content).hexdigest()
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    ).encode()


def _cremad_votes() -> bytes:
    rows = [
        f'"{channel}{number:05d}",5,0,1,2,0,1,"{name}",9,0.55,"A"' + ",50" * 16
        for channel in (1, 2, 3)
        for number, name in enumerate(CREMAD_CLIPS)
    ]
    return (VOTES_HEADER + "\n".join(rows) + "\n").encode()


# members of the archives as they are served
ARCHIVES: dict[str, dict[str, bytes]] = {
    "ravdess": {
        "Actor_01/03-01-01-01-01-01-01.wav": wav(1),
        "Actor_02/03-01-05-02-02-01-02.wav": wav(2),
    },
    "emodb": {
        "emodb/db.yaml": b"name: emodb\n",
        "emodb/db.files.csv": b"file,duration,speaker\n",
        "emodb/wav/03a01Fa.wav": wav(1),
        "emodb/wav/16b10Wb.wav": wav(2),
    },
    "nemo": {
        f"nEMO-{COMMIT}/LICENSE": b"terms",
        f"nEMO-{COMMIT}/README.md": b"# nEMO",
        f"nEMO-{COMMIT}/data.tsv": (
            NEMO_HEADER
            + "AB1_anger_1.wav\tanger\tKot.\tkot\t AB1\tfemale\t20\n"
            + "CD0_fear_2.wav\tfear\tPies.\tpies\t CD0\tmale\t30\n"
        ).encode(),
        f"nEMO-{COMMIT}/samples/AB1_anger_1.wav": wav(1),
        f"nEMO-{COMMIT}/samples/CD0_fear_2.wav": wav(2),
    },
    "cremad": {
        f"CREMA-D-{COMMIT}/LICENSE.txt": b"terms",
        f"CREMA-D-{COMMIT}/README.md": b"# CREMA-D",
        f"CREMA-D-{COMMIT}/SentenceFilenames.csv": (
            '"Stimulus_Number","Filename"\n'
            + "".join(f'{n},"{name}"\n' for n, name in enumerate(CREMAD_CLIPS, start=1))
        ).encode(),
        f"CREMA-D-{COMMIT}/VideoDemographics.csv": (
            b'"ActorID","Age","Sex","Race","Ethnicity"\n'
            b"1001,51,Male,Caucasian,Not Hispanic\n"
            b"1002,21,Female,Caucasian,Not Hispanic\n"
            b"1006,58,Female,Caucasian,Not Hispanic\n"
        ),
        f"CREMA-D-{COMMIT}/processedResults/tabulatedVotes.csv": _cremad_votes(),
        f"CREMA-D-{COMMIT}/processedResults/summaryTable.csv": (
            '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote",'
            '"MultiModalLevel"\n'
            + "".join(
                f'"{n}","{name}","A","58","A","60","A","70"\n'
                for n, name in enumerate(CREMAD_CLIPS, start=1)
            )
        ).encode(),
        f"CREMA-D-{COMMIT}/finishedResponses.csv": b"not needed",
        f"CREMA-D-{COMMIT}/AudioMP3/1001_DFA_ANG_XX.mp3": pointer(b"not needed"),
        **{
            f"CREMA-D-{COMMIT}/AudioWAV/{name}.wav": pointer(content)
            for name, content in CREMAD_CLIPS.items()
        },
    },
}
MELD: dict[str, bytes] = {
    "LICENSE": b"terms",
    "README.md": b"# MELD",
    **{
        f"data/MELD/{part}_sent_emo.csv": (
            MELD_HEADER
            + f'1,"Well, hello {part}.",Joey,joy,positive,0,0,1,2,"00:00:01,000","00:00:02,500"\n'
        ).encode()
        for part in ("train", "dev", "test")
    },
}

# what is in the folder in the end
WANTED: dict[str, dict[str, bytes]] = {
    "ravdess": {f"Audio_Speech_Actors_01-24/{k}": v for k, v in ARCHIVES["ravdess"].items()},
    "emodb": {
        k.removeprefix("emodb/"): v for k, v in ARCHIVES["emodb"].items() if k.endswith(".wav")
    },
    "nemo": {k.partition("/")[2]: v for k, v in ARCHIVES["nemo"].items()},
    "cremad": {
        k.partition("/")[2]: v
        for k, v in ARCHIVES["cremad"].items()
        if "Audio" not in k and "finished" not in k
    }
    | {f"AudioWAV/{name}.wav": content for name, content in CREMAD_CLIPS.items()},
    "meld": MELD,
}
NUM_UTTERANCES = {"ravdess": 2, "emodb": 2, "nemo": 2, "cremad": 4, "meld": 3}


def zip_of(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def sums_of(files: Mapping[str, bytes]) -> str:
    """``sha256sum`` of files, by path."""
    return "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))


def offer(server: Server, name: str, *acts: Act, always: Act | None = None) -> Source:
    """Put a small release on a server.

    Returns:
        The source of the corpus with addresses, sizes and checksums of the small release, and
        everything else as it is.
    """
    source = SOURCES[name]
    wanted = WANTED[name]
    digest = hashlib.sha256(sums_of(wanted).encode()).hexdigest() if source.digest else None
    always = always or Act()
    if source.archive is None:
        files = tuple(
            replace(
                file,
                urls=(server.put(f"/{file.path}", MELD[file.path], *acts, always=always),),
                size=len(MELD[file.path]),
                checksum=f"sha256:{hashlib.sha256(MELD[file.path]).hexdigest()}",
            )
            for file in source.files
        )
        return replace(source, files=files, digest=digest)
    content = zip_of(ARCHIVES[name])
    known = source.archive.file
    checksum = f"md5:{hashlib.md5(content).hexdigest()}" if known.checksum else None
    url = server.put("/archive.zip", content, *acts, always=always)
    file = RemoteFile(known.path, (url,), len(content), checksum, known.exact)
    archive = replace(source.archive, file=file, num_files=len(wanted))
    media = source.media
    if media is not None:
        for clip, audio in CREMAD_CLIPS.items():
            server.put(f"/media/AudioWAV/{clip}.wav", audio)
        num_bytes = sum(map(len, CREMAD_CLIPS.values()))
        media = replace(media, urls=(f"{server.url}/media/{{path}}",), num_bytes=num_bytes)
    return replace(source, archive=archive, media=media, digest=digest)


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a folder by path, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_DRIVER = """
import json, pickle, signal, sys
# a runner in the background hands on that Ctrl-C is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
from data_modules.download import SOURCES
from sermm.__main__ import main
name, source, root = json.loads(sys.argv[1])
SOURCES[name] = pickle.loads(bytes.fromhex(source))
sys.argv = ["sermm", "download", name, "--root", root, "--accept-licence"]
main()
"""


def program(source: Source, root: Path) -> list[str]:
    """``sermm download`` with this source, as arguments of a process of its own."""
    values = [source.corpus, pickle.dumps(source).hex(), str(root)]
    return [sys.executable, "-c", _DRIVER, json.dumps(values)]
