"""Sound releases of every corpus in a few files, and the books that each reader has to keep.

The books compare counts: every row of a label file is an utterance, an exclusion, a note or listed
as ignored. Where rows are lines, they are counted here by another way than in the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from data_modules.corpora import CORPORA, Release
from tests.fuzz.books import Files, expect_sound
from tests.fuzz.corpora_features import (
    books_cmu,
    books_mosi_vectors,
    read_cmu,
    read_mmsa,
    read_mosi_vectors,
    read_pickle,
    write_cmu,
    write_mmsa,
    write_mosi_vectors,
    write_pickle,
)
from tests.fuzz.corpora_rows import (
    books_emobox,
    books_emory,
    books_go,
    books_meld,
    books_table,
    read_emobox,
    write_emobox,
    write_emory,
    write_go,
    write_meld,
    write_table,
)
from tests.fuzz.corpora_speech import (
    books_cremad,
    books_emodb,
    books_iemocap,
    books_msp,
    books_nemo,
    write_cremad,
    write_emodb,
    write_iemocap,
    write_msp,
    write_nemo,
)
from tests.fuzz.run import Parser


def _parser(
    name: str,
    write: Callable[[Path], Files],
    books: Callable[[Path, Release], None] = lambda folder, release: None,
    *,
    label: str = "",
    read: Callable[[Path], Release] | None = None,
    named: Sequence[str] = (),
    cases: int = 150,
) -> Parser:
    corpus = CORPORA[name]

    def check(folder: Path, release: Release) -> None:
        if name != "emobox":
            expect_sound(corpus, folder, release)
        books(folder, release)

    return Parser(label or name, write, read or corpus.read, check, cases=cases, named=tuple(named))


CORPUS_PARSERS: tuple[Parser, ...] = (
    _parser("iemocap", write_iemocap, books_iemocap),
    _parser("emodb", write_emodb, books_emodb),
    _parser("nemo", write_nemo, books_nemo),
    _parser("cremad", write_cremad, books_cremad),
    _parser("msp_podcast", partial(write_msp, kind="csv"), books_msp, label="msp_csv"),
    _parser("msp_podcast", partial(write_msp, kind="json"), books_msp, label="msp_json"),
    _parser("meld", write_meld, books_meld),
    _parser("emorynlp", write_emory, books_emory),
    _parser("goemotions", write_go, books_go),
    _parser("emobox", write_emobox, books_emobox, read=read_emobox),
    _parser(
        "mosi_vectors",
        write_mosi_vectors,
        books_mosi_vectors,
        read=read_mosi_vectors,
        # rows are compared with those of the other files
        named=("segments_train.tsv", "_train.csv"),
    ),
    # what does not fit together may be told of either file
    _parser(
        "table",
        partial(write_table, suffix="csv"),
        books_table,
        label="table_csv",
        named=("table.yaml", "clips.csv"),
    ),
    _parser(
        "table",
        partial(write_table, suffix="jsonl"),
        books_table,
        label="table_jsonl",
        named=("table.yaml", "clips.jsonl"),
    ),
    _parser(
        "mosei",
        partial(write_cmu, corpus="mosei"),
        partial(books_cmu, "CMU_MOSEI_Labels"),
        read=partial(read_cmu, "mosei"),
    ),
    _parser(
        "mosi",
        partial(write_cmu, corpus="mosi"),
        partial(books_cmu, "CMU_MOSI_Opinion_Labels"),
        read=partial(read_cmu, "mosi"),
    ),
    _parser("mmsa_mosi", write_mmsa, read=read_mmsa),
    Parser("pickle", write_pickle, read_pickle, cases=60),
)
