"""Where openly licensed corpora come from: addresses, sizes, checksums, licences.

Nothing here is fetched unchecked: a file has a published checksum, or the whole corpus has a digest
that was computed from the pinned commit of its repository. The digest is the SHA-256 of the corpus'
SHA256SUMS, a line ``sha256  path`` for each file in the byte order of the paths.

Archives that GitHub makes of a commit have neither a stable checksum nor a size known in advance,
and cannot be resumed; the digest of what they hold is stable.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from data_modules.errors import ConfigError


@dataclass(frozen=True)
class Licence:
    """Terms that must be accepted.

    Attributes:
        name: As its authors call it.
        url: Full text.
        terms: What it asks of the user, in a sentence or two.
    """

    name: str
    url: str
    terms: str


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        path: Where it goes, relative to the folder of the corpus; the plain name of an archive.
        urls: Addresses of the same content; the next one is asked when one refuses.
        size: Bytes.
        checksum: ``algorithm:hexadecimal``; None where only the digest of the corpus is known.
        exact: False where ``size`` is an estimate.
    """

    path: str
    urls: tuple[str, ...]
    size: int
    checksum: str | None = None
    exact: bool = True


@dataclass(frozen=True)
class Archive:
    """A zip file and what is taken from it.

    Attributes:
        file: The zip file.
        take: Pattern of the members that belong to the corpus; its group ``path`` is where they go.
        into: Folder for them.
        num_files: How many there are.
        num_bytes: No more than this when unpacked.
    """

    file: RemoteFile
    take: str
    into: str
    num_files: int
    num_bytes: int


@dataclass(frozen=True)
class Media:
    """Git LFS files, whose pointers came with the archive and state size and SHA-256 of each.

    Attributes:
        folder: Where the pointers are.
        urls: Addresses with ``{path}`` for the path of a file.
        num_bytes: All of them together.
    """

    folder: str
    urls: tuple[str, ...]
    num_bytes: int


@dataclass(frozen=True)
class Source:
    """All that makes up one corpus.

    Attributes:
        corpus: Name of its reader.
        title: What people call it.
        version: Which release.
        licence: Its terms.
        verified: What its bytes are compared with, for the record beside the data.
        files: Files that are fetched as they are.
        archive: Fetched and unpacked.
        media: Fetched in place of the pointers in the archive.
        digest: Of all files in the end; see the head of this file.
    """

    corpus: str
    title: str
    version: str
    licence: Licence
    verified: str
    files: tuple[RemoteFile, ...] = ()
    archive: Archive | None = None
    media: Media | None = None
    digest: str | None = None

    @property
    def num_bytes(self) -> int:
        """What is transferred."""
        archive = self.archive.file.size if self.archive else 0
        return sum(file.size for file in self.files) + archive + self.media_bytes

    @property
    def media_bytes(self) -> int:
        """The part of it that stands in for pointers."""
        return self.media.num_bytes if self.media else 0


_BY_NC_SA = Licence(
    "CC BY-NC-SA 4.0",
    "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
    "No commercial use. Name the authors, and pass on what you make of it under the same terms.",
)
_MELD = (
    "https://raw.githubusercontent.com/declare-lab/MELD/2d2011b409d3ca2d7e94460cd007d434b1d0a102"
)
_CREMAD = "CheyneyComputerScience/CREMA-D"
_CREMAD_COMMIT = "1658cd342dff90010aa843eaeebd53610a08b1dc"
_NEMO_COMMIT = "66de9999a8f2f605eb5f64841790aa5cb0877782"
_FROM_COMMIT = "SHA-256 of every file, computed from commit {} of its repository"


def _meld(path: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(path, (f"{_MELD}/{path}",), size, f"sha256:{sha256}")


_ALL = (
    Source(
        corpus="ravdess",
        title="RAVDESS (speech)",
        version="Zenodo record 1188976, version 1.0.0",
        licence=_BY_NC_SA,
        verified="MD5 of the archive, as Zenodo publishes it, and the number of clips",
        archive=Archive(
            RemoteFile(
                "Audio_Speech_Actors_01-24.zip",
                ("https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",),
                208_468_073,
                "md5:bc696df654c87fed845eb13823edef8a",
            ),
            take=r"(?:Audio_Speech_Actors_01-24/)?(?P<path>Actor_\d\d/[\w-]+\.wav)",
            into="Audio_Speech_Actors_01-24",
            num_files=1440,
            num_bytes=700_000_000,
        ),
    ),
    Source(
        corpus="cremad",
        title="CREMA-D",
        version=f"commit {_CREMAD_COMMIT}",
        licence=Licence(
            "ODbL 1.0 (database), DbCL 1.0 (contents)",
            "https://opendatacommons.org/licenses/odbl/1-0/",
            "Name the source, pass on databases that you make of it under the same terms, keep "
            "them open. Its makers ask users to fill in the form that the README links to.",
        ),
        verified=_FROM_COMMIT.format(_CREMAD_COMMIT[:12]),
        archive=Archive(
            RemoteFile(
                "CREMA-D.zip",
                (f"https://github.com/{_CREMAD}/archive/{_CREMAD_COMMIT}.zip",),
                24_000_000,
                exact=False,
            ),
            take=r"CREMA-D-\w+/(?P<path>AudioWAV/\w+\.wav|processedResults/\w+\.csv"
            r"|SentenceFilenames\.csv|VideoDemographics\.csv|LICENSE\.txt|README\.md)",
            into="",
            num_files=7448,
            num_bytes=5_663_096,
        ),
        media=Media(
            "AudioWAV",
            (
                f"https://media.githubusercontent.com/media/{_CREMAD}/{_CREMAD_COMMIT}/{{path}}",
                # its owners' mirror, for when GitHub's monthly allowance is spent
                "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main/{path}",
            ),
            605_899_936,
        ),
        digest="93e5d53a73c518c9e258f6455989d42446e2598805384309c9c57f48734192d6",
    ),
    Source(
        corpus="emodb",
        title="EmoDB",
        version="Zenodo record 7447302, version 1.3.0",
        licence=Licence(
            "CC0 1.0",
            "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
            "Nothing is asked by CC0, which its release repository and the table in the archive "
            "state. The Zenodo record states CC BY 4.0: name the authors, and both are kept.",
        ),
        verified="MD5 of the archive, as Zenodo publishes it, and the number of clips",
        archive=Archive(
            RemoteFile(
                "emodb.zip",
                ("https://zenodo.org/records/7447302/files/emodb.zip",),
                39_981_818,
                "md5:9d21362dbc5676ef3ab4745d83ced0db",
            ),
            take=r"emodb/(?P<path>wav/\w+\.wav)",
            into="",
            num_files=535,
            num_bytes=70_000_000,
        ),
    ),
    Source(
        corpus="nemo",
        title="nEMO",
        version=f"commit {_NEMO_COMMIT}",
        licence=_BY_NC_SA,
        verified=_FROM_COMMIT.format(_NEMO_COMMIT[:12]),
        archive=Archive(
            RemoteFile(
                "nEMO.zip",
                (f"https://github.com/amu-cai/nEMO/archive/{_NEMO_COMMIT}.zip",),
                455_648_836,
                exact=False,
            ),
            take=r"nEMO-\w+/(?P<path>samples/\w+\.wav|data\.tsv|LICENSE|README\.md)",
            into="",
            num_files=4484,
            num_bytes=531_778_143,
        ),
        digest="456107d76902f8433eb4ef21e8adf8a4d8c6dd3b20312056f78b61e9e8c64a11",
    ),
    Source(
        corpus="meld",
        title="MELD (text)",
        version="commit 2d2011b409d3ca2d7e94460cd007d434b1d0a102",
        licence=Licence(
            "GPL-3.0",
            "https://www.gnu.org/licenses/gpl-3.0.html",
            "Pass on what you make of it under the same terms. This is the licence of the "
            "repository; the dialogues are those of a television series, for research.",
        ),
        verified=_FROM_COMMIT.format("2d2011b409d3"),
        files=(
            _meld(
                "data/MELD/train_sent_emo.csv",
                1_119_290,
                "d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db",
            ),
            _meld(
                "data/MELD/dev_sent_emo.csv",
                121_640,
                "2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c",
            ),
            _meld(
                "data/MELD/test_sent_emo.csv",
                294_526,
                "8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888",
            ),
            _meld(
                "LICENSE",
                35_149,
                "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986",
            ),
            _meld(
                "README.md",
                33_271,
                "1f8030ae506777d62960592371423088928efeea6083b8c0141a5d4eaf23d16a",
            ),
        ),
        digest="76a5c2d7c11c2950863e70b37402fe57f62f3128d1c368dca4614b3cf8c3dbd4",
    ),
)

SOURCES: dict[str, Source] = {source.corpus: source for source in _ALL}
"""What ``sermm download`` can fetch, by name of the corpus."""


def find_source(name: str) -> Source:
    """The source that the command line names.

    Raises:
        ConfigError: There is no such corpus, or it is not for everyone to fetch.
    """
    if name in SOURCES:
        return SOURCES[name]
    from data_modules.corpora import CORPORA

    known = ", ".join(SOURCES)
    if name in CORPORA:
        corpus = CORPORA[name]
        raise ConfigError(
            "CORPUS",
            expected=f"a corpus that can be fetched ({known})",
            got=f"{corpus.title}, which cannot ({corpus.licence})",
            fix=f"see {corpus.source}, and docs/download.md for the folder that is expected",
        )
    near = get_close_matches(name.lower(), SOURCES, n=1)
    raise ConfigError(
        "CORPUS",
        expected=f"one of {known}",
        got=repr(name),
        fix=f"write {near[0]}" if near else "choose one of these",
    )
