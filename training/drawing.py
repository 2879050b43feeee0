"""Drawing: matplotlib figures as SVG that becomes part of a page, in the page's own colours and fonts.

Drawing    a figure with its title and its words
axes       where to draw
figure_of  the figure of some axes
to_svg     a figure as a deterministic element without ids that could clash, dates or addresses

Figures are drawn in sentinel colours, which become CSS variables: one figure serves light, dark and print.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010101"
FAINT = "#010102"
NETWORK_COLOUR = "#010103"
BOOSTING_COLOUR = "#010104"
REGRESSION_COLOUR = "#010105"
LABEL_1_COLOUR = "#010106"
LABEL_0_COLOUR = "#010107"

_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    NETWORK_COLOUR: "var(--network)",
    BOOSTING_COLOUR: "var(--boosting)",
    REGRESSION_COLOUR: "var(--regression)",
    LABEL_1_COLOUR: "var(--label-1)",
    LABEL_0_COLOUR: "var(--label-0)",
}
# Keys are the library's own.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "date.converter": "concise",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.4,
}
_REFERENCE = re.compile(r"#([\w.-]+)")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of a report.

    Attributes:
        name: Its anchor.
        title: What it shows.
        caption: How to read it.
        svg: The figure, an SVG element.
    """

    name: str
    title: str
    caption: str
    svg: str


@contextmanager
def axes(width: float, height: float, rows: int = 1, heights: tuple[float, ...] = (1.0,)) -> Iterator[list[Axes]]:
    """Axes in the house style, one above the other with a shared x axis.

    Args:
        width: Of the figure, inches.
        height: Of the figure, inches.
        rows: Number of axes.
        heights: Their relative heights.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The reader's fonts show it, not those that measure it here.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure((width, height), layout="constrained")
        column = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=heights)
        yield list(column[:, 0])


def figure_of(plot: Axes) -> Figure:
    """The figure that `plot` is part of."""
    return cast("Figure", plot.get_figure(root=True))


def to_svg(axes_of_figure: Axes, name: str, title: str) -> str:
    """The figure that these axes are part of, as an SVG element.

    Args:
        axes_of_figure: Some axes of it.
        name: Unlike that of any other figure of the page: it keeps ids apart.
        title: For those who cannot see it.
    """
    written = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure_of(axes_of_figure).savefig(written, format="svg", metadata=nothing)
    return _as_part_of_a_page(written.getvalue(), title)


def _as_part_of_a_page(document: str, title: str) -> str:
    svg = ET.fromstring(document)  # noqa: S314 - our own
    for element in svg.iter():
        element.tag = element.tag.split("}")[-1]
        for key in list(element.attrib):
            if "}" in key:
                element.attrib[key.split("}")[-1]] = element.attrib.pop(key)
    for metadata in svg.findall("metadata"):
        svg.remove(metadata)
    for size in ("width", "height", "version"):
        svg.attrib.pop(size, None)
    svg.attrib |= {"role": "img", "aria-label": title}
    # Only what is referred to needs a name; the others would be the same in every figure.
    referred = {
        found for element in svg.iter() for value in element.attrib.values() for found in _REFERENCE.findall(value)
    }
    for element in svg.iter():
        if element.attrib.get("id") not in referred:
            element.attrib.pop("id", None)
    text = ET.tostring(svg, encoding="unicode")
    for sentinel, variable in _VARIABLES.items():
        text = text.replace(sentinel, variable)
    return text
