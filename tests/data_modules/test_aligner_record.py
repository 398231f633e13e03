from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.aligner_record import expect_record, read_records, record_path, renew
from data_modules.corpora import CORPORA
from data_modules.errors import AlignmentError, ManifestError
from data_modules.manifest import Word, read_manifest
from data_modules.prepare import prepare
from data_modules.prepared import Prepared, manifest_path
from tests.data_modules import iemocap_tree as tree


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    release = tree.write_tree(tmp_path / "release", tree.small_turns())
    return prepare(CORPORA["iemocap"], release, tmp_path / "cache")


def with_words(prepared: Prepared, source: str) -> Prepared:
    added = (Word("excuse", 0.0, 0.1, source),)
    return replace(
        prepared, utterances=[replace(u, words=u.words + added) for u in prepared.utterances]
    )


def test_words_of_another_making_go_first(prepared: Prepared) -> None:
    both = with_words(with_words(prepared, "ctc"), "pocketsphinx")
    # from an unknown model
    renewed, forgotten = renew(both, "ctc", {"name": "a", "sha256": "1"})
    assert forgotten == len(prepared.utterances)
    assert renewed.utterances == with_words(prepared, "pocketsphinx").utterances
    path = manifest_path("iemocap", prepared.cache)
    assert list(read_manifest(path)) == renewed.utterances
    assert read_records(prepared) == {"ctc": {"name": "a", "sha256": "1"}}
    # of the same making they stay
    timed = with_words(renewed, "ctc")
    assert renew(timed, "ctc", {"sha256": "1", "name": "a"}) == (timed, 0)
    # of other weights they go
    assert renew(timed, "ctc", {"name": "a", "sha256": "2"})[1] == forgotten
    assert renew(renewed, "other", {"name": "b"})[1] == 0
    assert set(read_records(prepared)) == {"ctc", "other"}


def test_a_stop_in_between_leaves_no_words_under_the_wrong_name(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = with_words(renew(prepared, "ctc", {"name": "a"})[0], "ctc")

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_modules.aligner_record.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        renew(timed, "ctc", {"name": "b"})
    assert not any(
        u.words_from("ctc") for u in read_manifest(manifest_path("iemocap", timed.cache))
    )


def test_an_experiment_finds_the_words_that_it_names(prepared: Prepared) -> None:
    expected = {"name": "a", "revision": None}
    expect_record(prepared, "ctc", expected)
    timed = with_words(prepared, "ctc")
    with pytest.raises(AlignmentError, match="expected word times of ctc by a, got none"):
        expect_record(timed, "ctc", expected)
    renew(prepared, "ctc", {"name": "a", "revision": None, "sha256": "1"})
    expect_record(timed, "ctc", expected)
    with pytest.raises(AlignmentError, match="of ctc by a at main, got a; run"):
        expect_record(timed, "ctc", {"name": "a", "revision": "main"})


@pytest.mark.parametrize("content", ["", "[]", "{broken", "1"])
def test_a_damaged_record(prepared: Prepared, content: str) -> None:
    record_path(prepared).write_text(content)
    with pytest.raises(ManifestError, match=r"iemocap\.aligners\.json: expected a JSON object"):
        read_records(prepared)
