"""Charts of benchmark results, as SVG for the README."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

_OURS, _OTHERS = "#1f6f5c", "#b8c4c0"
_INCHES_A_BAR = 0.45


def bar_chart(path: Path, title: str, values: dict[str, float], highlighted: str) -> None:
    """Write horizontal bars, the largest on top, one of them highlighted.

    Args:
        path: Of the SVG file.
        title: With the unit.
        values: Length of each bar, by name.
        highlighted: Whose bar stands out.
    """
    names = sorted(values, key=values.__getitem__)
    # The same drawing for the same figures, so that a file changes only when they do.
    mpl.rcParams.update({"svg.hashsalt": "seqrisk", "svg.fonttype": "none", "font.family": "sans-serif"})
    figure = Figure(figsize=(7, 0.9 + _INCHES_A_BAR * len(names)), layout="constrained")
    axes = figure.add_subplot()
    colours = [_OURS if name == highlighted else _OTHERS for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.xaxis.set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, metadata={"Date": None})
