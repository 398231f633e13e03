"""``docs/download.md`` says what the table of sources says."""

from __future__ import annotations

import re

import pytest

from data_modules.download import SOURCES, Pace, Source
from tests import pages

PAGE = pages.read(pages.ROOT / "docs" / "download.md")
ROWS = {row[0].strip("`"): row[1:] for row in pages.rows(PAGE)[1:]}


def test_every_source_is_told() -> None:
    assert list(ROWS) == list(SOURCES)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_sources_are_told_as_they_are(source: Source) -> None:
    title, licence, fetched, _, origin, checked = ROWS[source.corpus]
    assert (title, licence) == (source.title, source.licence.name)
    assert fetched == f"{source.num_bytes / 1e6:.0f} MB"
    (release,) = re.findall(r"\d{6,}$|`(\w+)`", origin)
    assert release in source.version or origin.split()[-1] in source.version
    assert source.verified.startswith(checked)


def test_patience_is_told() -> None:
    text = pages.section(PAGE, "What happens")
    assert f"silence of {Pace().stall_s:.0f} s" in text
    assert Pace().attempts == 6
    assert "six times in a row" in text
