"""Corpus readers by name. A new corpus is one file with a ``CORPUS`` and one line here."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from data_modules.corpora import emodb, iemocap, mosei, mosi, nemo, ravdess
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


def find_scheme(name: str) -> LabelScheme:
    """The label scheme that ``data.labels`` names.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    near = get_close_matches(name.lower(), SCHEMES, n=1)
    raise ConfigError(
        "data.labels",
        expected=f"one of {', '.join(SCHEMES)}",
        got=repr(name),
        fix=f"write {near[0]}" if near else "choose one of these",
    )
