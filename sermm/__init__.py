"""Speech + text emotion recognition experiments: models, runs, plans, reports, command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sermm.predict.predictor import load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # on first use: `import sermm` itself loads neither torch nor anything else
    if name == "load":
        from sermm.predict.predictor import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
