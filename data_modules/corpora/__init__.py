"""Corpus readers by name. A new corpus is one file with a ``CORPUS`` and one line here."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from data_modules.corpora import (
    cremad,
    emobox,
    emodb,
    emorynlp,
    goemotions,
    iemocap,
    meld,
    mmsa,
    mosei,
    mosi,
    mosi_vectors,
    msp_podcast,
    nemo,
    ravdess,
    table,
)
from data_modules.corpora.release import Corpus, Note, Published, ReadyFeatures, Release
from data_modules.errors import ConfigError
from data_modules.labels import LabelScheme

__all__ = [
    "CORPORA",
    "SCHEMES",
    "Corpus",
    "Note",
    "Published",
    "ReadyFeatures",
    "Release",
    "find_corpus",
    "find_scheme",
]

CORPORA: dict[str, Corpus] = {
    "iemocap": iemocap.CORPUS,
    "ravdess": ravdess.CORPUS,
    "emodb": emodb.CORPUS,
    "nemo": nemo.CORPUS,
    "mosei": mosei.CORPUS,
    "mosi": mosi.CORPUS,
    "mosi_vectors": mosi_vectors.CORPUS,
    "mmsa_mosi": mmsa.MOSI,
    "mmsa_mosei": mmsa.MOSEI,
    "cremad": cremad.CORPUS,
    "msp_podcast": msp_podcast.CORPUS,
    "meld": meld.CORPUS,
    "emorynlp": emorynlp.CORPUS,
    "goemotions": goemotions.CORPUS,
    "emobox": emobox.CORPUS,
    "table": table.CORPUS,
    # synthesised by demo.py into IEMOCAP's layout, so that IEMOCAP's reader is what it exercises
    "demo": replace(
        iemocap.CORPUS,
        name="demo",
        title="demo corpus (synthetic speech)",
        read=partial(iemocap.read, corpus="demo"),
        licence="made on this machine",
        source="corpora/demo.py",
        protocol="demo-session5",
        published=None,
    ),
}

SCHEMES: dict[str, LabelScheme] = {
    scheme.name: scheme for corpus in CORPORA.values() for scheme in corpus.schemes
}
"""Label schemes of all corpora by name."""


def find_corpus(name: str) -> Corpus:
    """The corpus that ``data.corpus`` or the command line names.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in CORPORA:
        return CORPORA[name]
    near = get_close_matches(name.lower(), CORPORA, n=1)
    raise ConfigError(
        "data.corpus",
        expected=f"one of {', '.join(CORPORA)}",
        got=repr(name),
        fix=f"write {near[0]}" if near else "choose one of these",
    )


def find_scheme(name: str, corpus: Corpus | None = None) -> LabelScheme:
    """The label scheme that ``data.labels`` names.

    Args:
        name: Of the scheme.
        corpus: Whose scheme it has to be, as its folder completes it; None for any corpus'.

    Raises:
        ConfigError: There is none of this name.
    """
    known = SCHEMES if corpus is None else {scheme.name: scheme for scheme in corpus.schemes}
    if name in known:
        return known[name]
    near = get_close_matches(name.lower(), known, n=1)
    raise ConfigError(
        "data.labels",
        expected=f"one of {', '.join(known)}",
        got=repr(name),
        fix=f"write {near[0]}" if near else "choose one of these",
    )
