"""The reliability diagram: how often what was said with which confidence was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sermm.report.plots import title_of
from sermm.report.svg import ACCENT, MUTED, SECOND, draw_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bins = Sequence[Mapping[str, Any]]


def reliability_picture(raw: Bins, scaled: Bins | None, leak: str, *, is_labels: bool) -> str:
    """Share right against confidence, with the spread that chance gives a calibrated model.

    Args:
        raw: Bins of the probabilities as the model gives them, from ``reliability.measure``.
        scaled: With the temperature of the validation part; None without.
        leak: What leaks; empty if nothing.
        is_labels: Of labels it is how often a label is there.
    """
    of = "label is there" if is_labels else "likeliest class is right"

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="calibrated")
        for number, bin_ in enumerate(raw):
            low, high = bin_["right_if_calibrated"]
            upper.fill_between(
                [bin_["low"], bin_["high"]],
                low,
                high,
                color=MUTED,
                alpha=0.25,
                linewidth=0,
                label="chance, if calibrated (95 %)" if number == 0 else None,
            )
        for bins, colour, mark, label in (
            (raw, ACCENT, "o-", "as the model says"),
            (scaled or (), SECOND, "s:", "with temperature"),
        ):
            if bins:
                places = [bin_["confidence"] for bin_ in bins]
                rights = [bin_["right"] for bin_ in bins]
                upper.plot(places, rights, mark, color=colour, markersize=4, label=label)
        upper.set(ylim=(-0.02, 1.02), xlim=(0, 1))
        upper.set_ylabel(f"share in which the\n{of} (of 1)")
        upper.set_title(title_of("reliability", leak))
        middles = [(bin_["low"] + bin_["high"]) / 2 for bin_ in raw]
        widths = [0.9 * (bin_["high"] - bin_["low"]) for bin_ in raw]
        lower.bar(middles, [bin_["count"] for bin_ in raw], widths, color=ACCENT, alpha=0.6)
        lower.set_ylabel("utterances")
        lower.set_xlabel("probability (of 1)")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)

    told = "; ".join(f"{b['confidence']:.2f} said, {b['right']:.2f} right" for b in raw)
    return draw_svg("reliability", f"Reliability diagram, by bin: {told}.", (5.2, 5.0), draw)
