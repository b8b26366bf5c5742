"""How pictures look: size, type, colours, and their bytes.

Belongs here: everything all plots share. Does not belong here: what is plotted (plots.py).

Figures are made without pyplot and without changing matplotlib's settings, so several threads
can draw at once. Equal input gives equal bytes: no dates, no names of software in the files.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
WIDTH = 6.6  # inches: 726 pixels, shown at about half that on a phone
TYPE = 13.0  # points: still readable at half the size
SMALL = 11.5
INK = "#1b1f24"
FAINT = "#d9dde2"
# Okabe and Ito (2008), colour-blind safe: before, after, marked.
BEFORE = "#8a8f98"
AFTER = "#0072b2"
MARK = "#d55e00"
Place = Literal["upper right", "upper left", "above"]
LEFT, RIGHT, TOP, BOTTOM = 0.95, 0.18, 0.42, 0.62  # inches around the axes


@dataclass(frozen=True)
class Style:
    """How one stage is drawn: the same in every picture."""

    name: str
    colour: str
    line: float
    filled: bool


DELIVERED = Style("delivered", BEFORE, 1.0, filled=True)
CLEANED = Style("cleaned", AFTER, 1.5, filled=False)
STYLES = (DELIVERED, CLEANED)


def stacked(
    heights: Sequence[float], *, between: float = 0.3, right: float = RIGHT, top: float = TOP
) -> tuple[Figure, list[Axes]]:
    """A figure with axes one below the other, `heights` in inches, on one time axis or several."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = top + sum(heights) + between * (len(heights) - 1) + BOTTOM
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes: list[Axes] = []
    above = tall - top
    for height in heights:
        above -= height
        box = (LEFT / WIDTH, above / tall, (WIDTH - LEFT - right) / WIDTH, height / tall)
        axes.append(figure.add_axes(box))
        above -= between
    for axis in axes:
        _plain(axis)
    return figure, axes


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=SMALL, colors=INK, length=3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(INK)
    axis.grid(visible=True, color=FAINT, linewidth=0.6)
    axis.set_axisbelow(True)


def title(axis: Axes, text: str) -> None:
    """A heading at the left above the axes."""
    axis.set_title(text, loc="left", fontsize=TYPE, color=INK, pad=5)


def label(axis: Axes, *, x: str | None = None, y: str | None = None) -> None:
    """Axis labels, quantity and unit."""
    if x is not None:
        axis.set_xlabel(x, fontsize=TYPE, color=INK)
    if y is not None:
        axis.set_ylabel(y, fontsize=TYPE, color=INK)


def legend(axis: Axes, *, place: Place = "upper right") -> None:
    """What the lines are: on a ground that hides what is behind, or above the axes at right."""
    if place == "above":
        beside = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.97), "frameon": False}
        axis.legend(fontsize=SMALL, ncols=2, borderaxespad=0.2, **beside)
    else:
        axis.legend(fontsize=SMALL, ncols=2, loc=place, framealpha=0.9, edgecolor=FAINT)


def owner(axis: Axes) -> Any:
    """The figure that an axis is in."""
    return axis.get_figure(root=True)


def png(figure: Figure) -> bytes:
    """The figure as PNG of 256 colours, which is a third of the size and looks the same."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # noqa: S101 - stacked() made it so
    canvas.draw()
    colours = np.asarray(canvas.buffer_rgba())[:, :, :3]
    few = Image.fromarray(colours).quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue()
