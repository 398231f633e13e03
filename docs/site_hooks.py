"""What mkdocs does beyond its settings: pages of measurements that lie outside ``docs/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[1]
_MEASURED = "benchmarks/results"


def on_files(files: Files, config: Any) -> Files:
    """Add the results of benchmarks, to which pages link as files of the repository."""
    for path in sorted((_ROOT / _MEASURED).glob("*.md")):
        text = path.read_text(encoding="utf-8")
        files.append(File.generated(config, f"{_MEASURED}/{path.name}", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """On the site they lie beside the pages, not beside their folder."""
    return markdown.replace(f"](../{_MEASURED}/", f"]({_MEASURED}/")
