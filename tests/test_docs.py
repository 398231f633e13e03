"""The pages say what the code does: keys, counts, rules, and the examples they give."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from data_modules.align import choose_words
from data_modules.alignment import frame_spans, time_words, transcript_words
from data_modules.batch import Batch, collate
from data_modules.check import CHECKS, check
from data_modules.corpora import CORPORA, SCHEMES
from data_modules.errors import LeakError
from data_modules.labels import ClassScheme, Family, Kind
from data_modules.manifest import Utterance, Word
from data_modules.prepare import prepare
from data_modules.protocols import PATTERNS, PROTOCOLS, Fold, find_protocol, prove_fold
from data_modules.text import Tokenizer
from data_modules.words import normalise_word
from docs import make_configuration, make_picture
from sermm.config import READY
from sermm.limits import CHOICES, WORD_SOURCES
from sermm.metrics import CLASS_METRICS
from sermm.nn.fusion import FrameAttention, SpanPooling
from sermm.scoring import find_scoring
from sermm.trivial import TRIVIAL
from sermm.upstreams import SPEECH_UPSTREAMS, build_speech_upstream
from tests import pages
from tests.data_modules import iemocap_tree
from tests.sermm.tasks.tiny import random_samples, tiny_config, tiny_task, with_garbage

DOCS = pages.ROOT / "docs"


def page(name: str) -> str:
    return pages.read(DOCS / f"{name}.md")


def example(name: str) -> ModuleType:
    """The Python block of a page, as a module."""
    (block,) = [block for block in pages.blocks(page(name)) if block.language == "python"]
    module = ModuleType(f"example_of_{name}")
    exec(compile(block.text, f"docs/{name}.md", "exec"), vars(module))
    return module


# configuration.md


def test_configuration_page_is_up_to_date() -> None:
    made = make_configuration.page()
    assert page("configuration") == made, "run python docs/make_configuration.py"


def test_configuration_page_says_meaning_and_bounds() -> None:
    rows = {row[0]: row[1:] for row in pages.rows(pages.section(page("configuration"), "`optim`"))}
    assert rows["`optim.lr`"][0] == "`0.001`"
    assert rows["`optim.lr`"][2] == "number, more than 0"
    assert rows["`optim.text_lr`"] == [
        "`null`",
        "for a pretrained text encoder; `null` is lr",
        "number, more than 0 or `null`",
    ]


# data.md


def test_corpora_are_told_as_their_readers_tell_them() -> None:
    table = pages.rows(page("data").partition("## ")[0])[1:]
    assert [row[0].strip("`") for row in table] == list(CORPORA)
    for (name, *_, licence, source), corpus in zip(table, CORPORA.values(), strict=True):
        assert name.strip("`") == "demo" or licence == corpus.licence
        assert source.strip("<>`") == corpus.source


@pytest.mark.parametrize("name", [name for name in CORPORA if CORPORA[name].published])
def test_published_counts_are_those_of_the_checks(name: str) -> None:
    corpus = CORPORA[name]
    assert corpus.published is not None
    heading = {"mosi_vectors": "CMU-MOSI utterance vectors"}.get(name, corpus.title)
    heading = "MMSA feature files" if name.startswith("mmsa") else heading.partition(" (")[0]
    text = pages.section(page("corpora"), heading)
    # the 28 names of GoEmotions stand in its own file
    names = corpus.scheme.names if len(corpus.scheme.names) < 20 else ()
    for word in (f"`{corpus.scheme.name}`", *names):
        assert word in text
    numbers = {number.replace(",", "") for number in re.findall(r"\d[\d,]*\d|\d", text)}
    published = corpus.published
    # counts of 91 actors would fill a page
    speakers = published.speakers if len(published.speakers) < 50 else {}
    groups = (published.classes, published.sessions, speakers, published.parts)
    expected = {str(number) for group in groups for number in group.values()}
    assert {str(published.total), *expected} <= numbers
    prepares = (name, "mmsa_mosi") if name.startswith("mmsa") else (name,)
    assert any(f"sermm prepare {one} --root" in page("corpora") for one in prepares)


def test_emodb_letters_are_those_of_the_scheme() -> None:
    text = pages.section(page("corpora"), "EmoDB")
    told = dict(re.findall(r"`([A-Z])`\s(\w+)", text.partition("**Labels.**")[2]))
    scheme = SCHEMES["emodb7"]
    assert isinstance(scheme, ClassScheme)
    assert told == scheme.mapping


def test_checks_are_told_in_their_order(tmp_path: Path) -> None:
    table = pages.rows(pages.section(page("data"), "Checks"))[1:]
    told = [row[0].strip("`") for row in table]
    assert len(told) == len(CHECKS)
    release = iemocap_tree.write_tree(tmp_path, iemocap_tree.small_turns())
    (release / "Session1" / "sentences" / "wav" / "._Ses01F_impro01").mkdir()
    turns = [turn.name for turn in iemocap_tree.small_turns()]
    iemocap_tree.clip_path(release, turns[0]).write_bytes(b"")
    iemocap_tree.alignment_path(release, turns[1]).unlink()
    results = check(prepare(CORPORA["iemocap"], release, tmp_path / "cache"))
    seen = [result.name for result in results]
    assert seen == [name for name in told if name in seen]
    # what IEMOCAP has nothing of, or what depends on the release
    missing = {"parts", "stated lengths", "folds", "shared audio"}
    assert set(told) - set(seen) <= missing
    severity = {row[0].strip("`"): row[2].strip("*") for row in table}
    for result in results:
        if result.status != "pass":
            assert result.status == severity[result.name]


def test_only_these_checks_fail() -> None:
    told = {
        row[0].strip("`")
        for row in pages.rows(pages.section(page("data"), "Checks"))[1:]
        if row[2] == "**fail**"
    }
    source = "".join(
        path.read_text() for path in sorted((pages.ROOT / "data_modules" / "check").glob("*.py"))
    )
    assert told == set(re.findall(r'CheckResult\(\s*"([\w ]+)",\s*"fail"', source))


def test_the_example_of_a_reader_works(tmp_path: Path) -> None:
    reader = example("new_corpus")
    root = tmp_path / "studio"
    (root / "wav").mkdir(parents=True)
    tone = (3000 * np.sin(np.arange(8000) / 20)).astype(np.int16)
    for name in ("a1", "a2", "stray"):
        (root / "wav" / f"{name}.wav").write_bytes(iemocap_tree.wav_bytes(tone))
    (root / "clips.tsv").write_text(
        "clip\tspeaker\temotion\ttext\na1\tAnna\tglad\tGood morning.\n"
        "a2\tAnna\tangry\tGood morning.\ngone\tOtto\tglad\tGood night.\n"
    )
    release = reader.read(root)
    assert [u.id for u in release.utterances] == ["a1", "a2", "gone"]
    assert [e.id for e in release.exclusions] == ["stray"]
    prepared = prepare(reader.CORPUS, root, tmp_path / "cache")
    assert [(u.id, u.speaker, u.labels["category"]) for u in prepared.utterances] == [
        ("a1", "Anna", "glad"),
        ("a2", "Anna", "angry"),
    ]
    assert {e.id: e.reason for e in prepared.exclusions} == {
        "stray": "audio without a label",
        "gone": "audio is missing",
    }


# protocols.md


def test_protocols_are_told_as_they_are() -> None:
    text = pages.section(page("protocols"), "What a protocol is")
    by_name, by_pattern = text.split("Further protocols", 1)
    table = {row[0]: row for part in (by_name, by_pattern) for row in pages.rows(part)}
    told = " ".join(pages.section(page("protocols"), "Leak marks").split())
    for name, protocol in PROTOCOLS.items():
        mark = " **LEAK**" if protocol.leak else ""
        cells = table.pop(f"`{name}`{mark}")
        assert cells[3] == (", ".join(protocol.disjoint) or "nothing is promised")
        if not cells[2].startswith("as ") and "; else as" not in cells[2]:
            assert cells[2] == protocol.description
        if protocol.leak:
            assert f'`{name}` says "{protocol.leak}"' in told
    for pattern, rule in PATTERNS.items():
        protocol = find_protocol(pattern.replace("CORPUS", "nemo").replace("K", "5"))
        mark = " **LEAK**" if protocol.leak else ""
        cells = table.pop(f"`{pattern}`{mark}")
        assert cells[2] == rule
        assert cells[3] == (", ".join(protocol.disjoint) or "nothing is promised")
        assert not protocol.leak or f'"{protocol.leak}"' in told
    assert set(table) == {"protocol", "pattern"}


@pytest.mark.parametrize("name", CORPORA)
def test_a_release_that_leaks_by_itself_is_told(name: str) -> None:
    leak = find_protocol(f"{name}-standard").leak
    told = " ".join(pages.section(page("protocols"), "Leak marks").split())
    assert not leak or (f'"{leak}"' in told and f"`{name}`" in told)


def test_the_error_of_a_leak_is_the_one_shown() -> None:
    parts = {"a": "Ses01F", "b": "Ses01F", "c": "Ses02F"}
    utterances = {
        name: Utterance(id=name, corpus="iemocap", speaker=speaker)
        for name, speaker in parts.items()
    }
    with pytest.raises(LeakError) as caught:
        prove_fold(PROTOCOLS["iemocap4-session5"], Fold(("a",), ("b",), ("c",)), utterances)
    shown = [block.text for block in pages.blocks(page("protocols"))]
    assert f"error: {caught.value}\n" in shown


def scores_told(title: str) -> list[str]:
    """Names in the tables of a section on scores."""
    return [name for name in pages.column(pages.section(page("protocols"), title)) if name]


def test_every_score_is_defined() -> None:
    assert set(CLASS_METRICS) <= set(scores_told("Classes"))
    of_ratings = {
        name for family in ("sentiment", "intensity", "rating") for name in scores_of(family)
    }
    assert set(scores_told("Ratings")) == of_ratings
    assert set(scores_told("Several labels")) == set(scores_of("multilabel", "<label>"))


def scores_of(family: Family, name: str = "x") -> list[str]:
    """Names of the scores of one rating or label."""
    kind: Kind = "multilabel" if family == "multilabel" else "regression"
    return list(find_scoring(kind, (name,), family).metrics)


def test_families_of_ratings_have_the_scores_that_are_told() -> None:
    table = pages.rows(pages.section(page("protocols"), "Ratings"))[1:]
    families: dict[Family, str] = {
        "sentiment": "sentiment",
        "intensity": "intensities",
        "rating": "ratings",
    }
    for family, word in families.items():
        told = {row[0].strip("`") for row in table if row[2] == "all" or word in row[2]}
        assert told == set(scores_of(family)), family


def test_trivial_predictors_are_told() -> None:
    table = pages.rows(pages.section(page("protocols"), "Trivial predictors"))[1:]
    words = {
        "classes": "classes",
        "regression": "ratings",
        "multilabel": "several labels",
        "reconstruction": "hidden frames",
    }
    told = [(row[0], row[1].strip("`")) for row in table]
    known = [(words[kind], name) for kind, own in TRIVIAL.items() for name in own]
    assert told == known


# alignment.md


def test_examples_of_words() -> None:
    text = page("alignment")
    for spelling in ("well - yes", "[LAUGHTER]", "<sigh>", "{breath}", "++NOISE++", "25%"):
        assert f"`{spelling}`" in text
    assert transcript_words("well - yes") == ["well-", "yes"]
    assert transcript_words("- yes") == ["-yes"]
    assert transcript_words("so[LAUGHTER]well [LOUD BREATHING] {breath}++NOISE++<sigh>") == [
        *("so", "[LAUGHTER]", "well", "[LOUD BREATHING]", "{breath}", "++NOISE++", "<sigh>"),
    ]
    assert transcript_words("...") == ["..."]
    assert transcript_words(" ") == []
    assert normalise_word("25%") == "twentyfivepercent"


def sources_of(words: list[str], timed: list[Word], duration_s: float = 2.0) -> list[str]:
    return [word.source for word in time_words(words, timed, duration_s)]


def test_examples_of_matching() -> None:
    one = [Word("do", 0.2, 0.4, "corpus"), Word("n't", 0.4, 0.6, "corpus")]
    (whole,) = time_words(["don't"], one, 2.0)
    assert (whole.start_s, whole.end_s, whole.source) == (0.2, 0.6, "corpus")
    spoken = [Word("twenty", 0.2, 0.4, "corpus"), Word("five", 0.4, 0.6, "corpus")]
    assert sources_of(["25"], spoken) == ["corpus"]
    assert sources_of(["[LAUGHTER]", "..."], []) == ["interpolated"] * 2
    late = [Word("so", 0.1, 0.3, "corpus"), Word("long", 2.5, 2.8, "corpus")]
    assert sources_of(["so", "long"], late) == ["corpus", "interpolated"]


def test_sources_are_asked_in_order_and_never_mixed() -> None:
    told = pages.column(pages.section(page("alignment"), "Sources"))
    assert told == [*WORD_SOURCES, "interpolated"]
    utterance = Utterance(
        id="a",
        corpus="demo",
        start_s=0.0,
        end_s=2.0,
        text="so long",
        words=(Word("so", 0.1, 0.3, "corpus"), Word("long", 1.0, 1.5, "pocketsphinx")),
    )
    words, source = choose_words(utterance, ["corpus", "pocketsphinx"])
    assert source == "corpus"
    assert [word.source for word in words] == ["corpus", "interpolated"]


def test_words_that_touch_share_no_frame_and_short_ones_get_the_nearest() -> None:
    words = [Word("a", 0.0, 0.1, "corpus"), Word("b", 0.1, 0.2, "corpus")]
    assert frame_spans(words, 10, 0.02).tolist() == [[0, 5], [5, 10]]
    short = [Word("c", 0.100, 0.105, "corpus"), Word("d", 5.0, 6.0, "corpus")]
    assert frame_spans(short, 10, 0.02).tolist() == [[5, 6], [9, 10]]


def test_special_tokens_written_in_a_transcript_are_letters() -> None:
    tokenizer = Tokenizer.train(["he said SEP and more " * 3], vocab_size=200)
    special = set(tokenizer.special_ids.values())
    written = tokenizer.encode(["[SEP]"])
    inner = [n for n, w in zip(written.input_ids, written.word_index, strict=True) if w is not None]
    assert inner
    assert not set(inner) & (special - {tokenizer.special_ids["unk"]})
    assert tokenizer.encode([]).word_index == [None, None]


def test_choices_of_alignment_are_told() -> None:
    for name, title in (("alignment", "What the model does with spans"), ("models", "Fusion")):
        told = [cell.split()[0] for cell in pages.column(pages.section(page(name), title))]
        assert told == list(CHOICES["model.alignment"])


# models.md


def test_upstreams_and_their_widths_are_told() -> None:
    table = pages.rows(pages.section(page("models"), "Speech upstreams"))[1:]
    assert [row[0].strip("`") for row in table] == [*SPEECH_UPSTREAMS, READY]
    table.pop()  # features of the corpus, whose width is theirs
    sizes = {"num_bands": 40, "num_ceps": 13}
    for name, _, width in table:
        upstream = build_speech_upstream(
            name.strip("`"), **{k: v for k, v in sizes.items() if k in width}
        )
        told = width.replace("`", "").replace("\N{MULTIPLICATION SIGN}", "*")
        assert upstream.dim == eval(told, {}, sizes), name


def test_tasks_are_told() -> None:
    told = pages.column(pages.section(page("models"), "Tasks"))
    assert told == list(CHOICES["model.task"])


def test_widths_of_the_aligners() -> None:
    text = pages.section(page("models"), "Fusion")
    told = {row[0].split()[0].strip("`"): row[2] for row in pages.rows(text)[1:]}
    assert told["span"] == "4 D"
    assert SpanPooling(input_size=64).output_size == 4 * 64
    assert "A = 256" in text
    assert told["attention"] == "width of the BiGRU's output"
    assert FrameAttention(query_size=3, key_size=5, hidden_size=2).output_size == 5


def test_the_example_of_a_fusion_keeps_what_is_asked_of_all() -> None:
    """It stands in for the attention of a task: padding does not show, gradients flow."""
    config = tiny_config("fusion by attention")
    task = tiny_task(config)
    old = task.aligner
    assert isinstance(old, FrameAttention)
    torch.manual_seed(1)
    task.aligner = example("models").AdditiveAttention(
        query_size=old.query.in_features, key_size=old.output_size, hidden_size=4
    )
    task.eval()
    samples = random_samples(config, [(1, 1), (7, 2), (12, 5), (9, 4)])
    together = task(with_garbage(samples))
    for sample, scores in zip(samples, together, strict=True):
        torch.testing.assert_close(scores, task(collate([sample]))[0], atol=1e-5, rtol=0.0)
    (together**2).sum().backward()
    grown = [p.grad for p in task.aligner.parameters()]
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in grown)
    batch: Batch = collate(samples)
    weights = task.frame_weights(batch)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))


# the picture


def test_picture_is_small_and_stands_alone() -> None:
    picture = make_picture.PICTURE
    assert picture.stat().st_size < 150_000
    svg = picture.read_text(encoding="utf-8")
    pages.check_picture(svg)
    assert svg.startswith("<svg ")
    for word in ("gorgeous,", "pitiful,", "mel band"):
        assert word in svg
