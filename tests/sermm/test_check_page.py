from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules.check import Survey, check
from data_modules.corpora import CORPORA
from data_modules.corpora.release import Corpus
from data_modules.labels import PresenceScheme, RatingScheme
from data_modules.manifest import Exclusion, Utterance
from data_modules.prepare import prepare
from data_modules.prepared import Prepared
from sermm.report import check_examples
from sermm.report.check_examples import choose_examples
from sermm.report.check_page import check_page_path, write_check_page
from sermm.report.check_plots import histogram_picture, stacked_picture
from tests.data_modules import iemocap_tree as tree
from tests.sermm.test_report import Page
from tests.sermm.workplace import Workplace

IEMOCAP = CORPORA["iemocap"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree.write_tree(tmp_path_factory.mktemp("data"), tree.small_turns())


@pytest.fixture(scope="module")
def prepared(release: Path) -> Prepared:
    return prepare(IEMOCAP, release, release.parent / "cache")


def page_of(prepared: Prepared, cache: Path, *, with_audio: bool = True) -> str:
    survey = Survey(replace(prepared, cache=cache))
    path = write_check_page(survey, check(survey), with_audio=with_audio)
    assert path == check_page_path(prepared.corpus.name, cache)
    return path.read_text(encoding="utf-8")


def corpus_of(*utterances: Utterance, corpus: Corpus = IEMOCAP) -> Prepared:
    return Prepared(corpus, Path("/data"), Path("/cache"), list(utterances), [], {}, [], {}, "00")


def test_the_page_stands_alone(prepared: Prepared, tmp_path: Path) -> None:
    text = page_of(prepared, tmp_path)
    page = Page(text)
    for address in (*page.attributes("src"), *page.attributes("href")):
        assert address.startswith(("data:audio/flac;base64,", "#")), address[:40]
    assert page.count("script") == page.count("link") == page.count("img") == 0
    (policy,) = [
        values["content"]
        for tag, values in page.tags
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "url(http" not in text
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    identities = page.attributes("id")
    assert len(identities) == len(set(identities))


def test_every_check_and_count_is_on_it(prepared: Prepared, tmp_path: Path) -> None:
    damaged = replace(
        prepared,
        exclusions=[Exclusion("Ses01F_<b>", "audio is empty", "a & b")],
        ignored={"odd files": ["x.txt"]},
    )
    text = page_of(damaged, tmp_path)
    words = " ".join(" ".join(Page(text).texts).split())
    results = check(damaged)
    assert any(result.status == "fail" for result in results)
    for result in results:
        assert result.name in words
        assert " ".join(result.detail.split()) in words
        assert result.status != "fail" or result.fix in words
    for name in ("neutral", "1,708", "5,531", "iemocap4-session5", "Ses01F_<b>", "odd files"):
        assert name in words
    assert "Ses01F_&lt;b&gt;" in text
    assert "Ses01F_<b>" not in text
    assert words.index("1 failed") < words.index("worth knowing") < words.index("passed")


def test_each_class_can_be_heard(prepared: Prepared, tmp_path: Path) -> None:
    survey = Survey(prepared)
    examples = choose_examples(survey, with_audio=True)
    assert [example.kind for example in examples] == [
        name for name in IEMOCAP.scheme.names for _ in range(2)
    ]
    for first, second in zip(examples[::2], examples[1::2], strict=True):
        assert first.utterance.speaker != second.utterance.speaker
    for example in examples:
        data = base64.b64decode(example.audio.removeprefix("data:audio/flac;base64,"))
        samples, rate = soundfile.read(io.BytesIO(data))
        assert rate == 16_000
        original, _ = soundfile.read(prepared.audio_path(example.utterance))
        np.testing.assert_array_equal(samples, original)
    page = Page(page_of(prepared, tmp_path))
    assert page.count("audio") == 8
    assert "8 clips" in page.texts
    assert any(IEMOCAP.licence in text for text in page.texts)


def test_clips_can_be_declined(prepared: Prepared, tmp_path: Path) -> None:
    text = page_of(prepared, tmp_path, with_audio=False)
    assert "<audio" not in text
    assert "data:audio" not in text
    assert tree.SENTENCE in text
    assert "transcripts and labels of the corpus" in text


def test_a_page_stays_small_and_says_what_is_missing(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = Survey(prepared)
    sizes = [len(example.audio) for example in choose_examples(survey, with_audio=True)]
    monkeypatch.setattr(check_examples, "MOST_BYTES", sum(sizes[:3]))
    examples = choose_examples(survey, with_audio=True)
    assert [bool(example.audio) for example in examples[:3]] == [True] * 3
    assert sum(len(example.audio) for example in examples) <= sum(sizes[:3])
    without = [example for example in examples if not example.audio]
    assert without
    assert {example.remark for example in without} == {"its audio would make the page too large"}
    assert page_of(prepared, tmp_path).count(without[0].remark) == len(without)


def test_a_clip_that_is_gone_is_told(release: Path, tmp_path: Path) -> None:
    moved = prepare(IEMOCAP, release, tmp_path / "cache")
    gone = replace(moved, root=tmp_path / "nowhere")
    for example in choose_examples(Survey(gone), with_audio=True):
        assert example.remark == "its audio cannot be read any more: no file"


def ratings_of(low: float = -3.0) -> Corpus:
    scheme = RatingScheme(
        name="x", names=("valence",), sources=("v",), low=low, high=3, scores="sentiment"
    )
    return replace(IEMOCAP, name="mine", schemes=(scheme,), published=None, protocol="")


def test_ratings_are_grouped_by_the_nearest_number(tmp_path: Path) -> None:
    values = (-2.6, -0.4, 0.4, 1.0, 2.4)
    prepared = corpus_of(
        *(Utterance(f"u{v}", "mine", text="so", labels={"v": v}) for v in values),
        corpus=ratings_of(),
    )
    examples = choose_examples(Survey(prepared), with_audio=True)
    assert {example.kind for example in examples} == {
        *("valence about -3", "valence about 0", "valence about 1", "valence about 2")
    }
    text = page_of(prepared, tmp_path)
    assert "v 2.4" in text
    assert "Valence is rounded." in text
    assert "Lengths" not in text  # one word each: there is no distribution to show


def test_several_labels_and_no_speakers_and_no_audio(tmp_path: Path) -> None:
    names = tuple(f"feeling{k}" for k in range(28))
    scheme = PresenceScheme(name="y", names=names, sources=names, high=1)
    corpus = replace(ratings_of(), schemes=(scheme,))
    utterances = [
        Utterance(
            f"u{k}",
            "mine",
            part=("train", "val", "test")[k % 3],
            text="word " * (k % 7 + 1),
            labels={
                name: float(place in (k % 28, (k + 3) % 28)) for place, name in enumerate(names)
            },
        )
        for k in range(90)
    ]
    prepared = corpus_of(*utterances, corpus=corpus)
    assert len(choose_examples(Survey(prepared), with_audio=True)) <= 28
    text = page_of(prepared, tmp_path)
    assert "Classes by part" in text
    assert "others" in text
    assert "several labels counts by the first" in text
    places = [text.index(f">{part}</text>") for part in ("train", "val", "test")]
    assert places == sorted(places)
    assert "words in a transcript" in text
    assert "length in s" not in text
    assert "mine-standard" in text


def test_a_thousand_speakers_are_summed_up(tmp_path: Path) -> None:
    utterances = [
        Utterance(f"u{k}", "iemocap", speaker=f"s{k % 1000:04}", labels={"category": "neu"})
        for k in range(1003)
    ]
    text = page_of(corpus_of(*utterances), tmp_path)
    assert "the 40 of 1000 with the most utterances" in text
    assert len(text) < 400_000
    bars = re.findall(r">(s\d{4})</text>", text)
    assert len(bars) == 40
    assert bars[:3] == ["s0000", "s0001", "s0002"]


def test_an_empty_manifest_has_a_page(tmp_path: Path) -> None:
    assert "0 utterances" in page_of(corpus_of(), tmp_path)


def test_pictures_have_words() -> None:
    svg = histogram_picture("a", np.array([0.1, 1.0, 1.0, 90.0]), "length in s", (0.2, 60.0))
    assert "logarithmic" in svg
    assert "limit 60" in svg
    assert "4 utterances from 0.1 to 90, median 1." in svg
    svg = stacked_picture("b", {"s<1": {"glad": 2, "sad": 0}, "s2": {"glad": 1}}, "speaker")
    assert "Altogether: glad 3." in svg
    assert "s&lt;1" in svg


def test_the_command_says_where_the_page_is(place: Workplace) -> None:
    cache = ("--cache", str(place.folder / "cache"))
    place.sermm("prepare", "demo", "--root", str(place.release), *cache)
    path = place.folder / "cache" / "manifests" / "demo.check.html"
    assert not path.exists()
    said = place.sermm("check", "demo", *cache)
    assert said.status == 0
    # a path is not broken over lines
    assert f"page: {path}\n" in said.out
    assert "<audio" in path.read_text()
    assert place.sermm("check", "demo", *cache, "--no-audio").status == 0
    assert "<audio" not in path.read_text()
