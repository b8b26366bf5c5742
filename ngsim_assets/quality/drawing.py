"""How pictures look: size, type, colours, and their bytes.

Belongs here: everything all pictures share, of any domain. Does not belong here: what is drawn (the
pictures of each domain).

Figures are made without pyplot and without changing matplotlib's settings, so several threads
can draw at once. Equal input gives equal bytes: no dates, no names of software in the files.
"""

# matplotlib's stubs leave half of what it takes unknown
# pyright: standard

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ngsim_assets.quality.report import Figure as ReportFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1f24"
FAINT = "#d9dde2"
GROUND = "#f3f4f6"
# Okabe and Ito (2008), colour-blind safe: before, after, marked.
BEFORE = "#8a8f98"
AFTER = "#0072b2"
LIMIT = "#d55e00"
# Told apart from every colour of viridis by red-blind, green-blind and blue-blind readers, which
# magenta is not (grey to the first two; simulated after Machado et al. 2009).
IMPUTED = "#d55e00"
REPAIRED = "#000000"
# One per lane, those of Okabe and Ito that hold on white; more lanes than these change the dash.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#7a5c00", "#1b1f24")
Place = Literal["upper right", "upper left", "above"]
Format = Literal["png", "svg", "pdf"]
LEFT, RIGHT, TOP, BOTTOM = 0.95, 0.18, 0.42, 0.62  # inches around the axes, at 13 pt
SCALE_RIGHT = 1.05  # the same at the right where a scale of colours stands
_COLOURS = 16  # steps of a scale: more are not told apart, and make the file larger


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


@dataclass(frozen=True)
class Sheet:
    """Size of a picture.

    Attributes:
        width: inches. type: points of titles and labels; margins and lines follow it, heights
            follow the width. dpi: pixels per inch, of rasters inside vector files too.

    As it is, for a report: 726 pixels wide, readable at half that on a phone.
    """

    width: float = 6.6
    type: float = 13.0
    dpi: int = 110

    @property
    def small(self) -> float:
        """Points of ticks and legends."""
        return self.type * 0.885

    @property
    def unit(self) -> float:
        """What margins and lines are scaled by."""
        return self.type / 13.0

    def stacked(
        self,
        heights: Sequence[float],
        *,
        between: float = 0.3,
        right: float = RIGHT,
        top: float = TOP,
    ) -> tuple[Figure, list[Axes]]:
        """Axes one below the other, `heights` in inches of a sheet as it is by default."""
        figure, rows = self.grid(heights, between=between, right=right, top=top)
        return figure, [axis for [axis] in rows]

    def grid(
        self,
        heights: Sequence[float],
        *,
        columns: int = 1,
        between: float = 0.3,
        right: float = RIGHT,
        top: float = TOP,
    ) -> tuple[Figure, list[list[Axes]]]:
        """Rows of equal axes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        stretch, unit = self.width / Sheet.width, self.unit
        tall = [height * stretch for height in heights]
        total = unit * (top + between * (len(tall) - 1) + BOTTOM) + sum(tall)
        wide = (self.width - unit * (LEFT * columns + right)) / columns
        figure = Figure(figsize=(self.width, total), dpi=self.dpi, facecolor="white")
        FigureCanvasAgg(figure)
        rows: list[list[Axes]] = []
        above = total - unit * top
        for height in tall:
            above -= height
            lefts = [unit * LEFT + k * (wide + unit * LEFT) for k in range(columns)]
            places = [
                (left / self.width, above / total, wide / self.width, height / total)
                for left in lefts
            ]
            rows.append([figure.add_axes(place) for place in places])
            above -= unit * between
        for axis in (axis for row in rows for axis in row):
            self.plain(axis)
        return figure, rows

    def plain(self, axis: Axes) -> None:
        """Ticks, spines and grid as everywhere."""
        self._ticks(axis)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(INK)
        axis.grid(visible=True, color=FAINT, linewidth=0.6 * self.unit)
        axis.set_axisbelow(True)

    def _ticks(self, axis: Axes) -> None:
        """Sizes that matplotlib keeps in points, whatever the type."""
        unit = self.unit
        look: dict[str, Any] = {"length": 3 * unit, "width": 0.8 * unit, "pad": 3.5 * unit}
        axis.tick_params(which="both", labelsize=self.small, colors=INK, **look)
        axis.tick_params(which="minor", length=1.8 * unit)
        for spine in axis.spines.values():
            spine.set_linewidth(0.8 * unit)

    def title(self, axis: Axes, text: str) -> None:
        """A heading at the left above the axes."""
        axis.set_title(text, loc="left", fontsize=self.type, color=INK, pad=5 * self.unit)

    def label(self, axis: Axes, *, x: str | None = None, y: str | None = None) -> None:
        """Axis labels, quantity and unit."""
        if x is not None:
            axis.set_xlabel(x, fontsize=self.type, color=INK, labelpad=4 * self.unit)
        if y is not None:
            axis.set_ylabel(y, fontsize=self.type, color=INK, labelpad=4 * self.unit)

    def legend(self, axis: Axes, *, place: Place = "upper right", columns: int = 2) -> None:
        """What the lines are: on a ground that hides what is behind, or above the axes at right."""
        if place == "above":
            beside = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.97), "frameon": False}
            axis.legend(fontsize=self.small, ncols=columns, borderaxespad=0.2, **beside)
        else:
            look = {"framealpha": 0.9, "edgecolor": FAINT}
            axis.legend(fontsize=self.small, ncols=columns, loc=place, **look)

    def keys(self, axis: Axes, handles: Sequence[Any], *, length: float = 1.0) -> None:
        """A legend of its own handles above the axes at right."""
        axis.legend(
            handles=list(handles),
            fontsize=self.small,
            ncols=len(handles),
            loc="lower right",
            bbox_to_anchor=(1.0, 0.97),
            borderaxespad=0.2,
            frameon=False,
            handlelength=length,
            columnspacing=0.9,
            handletextpad=0.4,
        )

    def note(self, axis: Axes, text: str) -> None:
        """A sentence in the middle of axes that have nothing to show."""
        axis.text(
            0.5,
            0.5,
            text,
            transform=axis.transAxes,
            ha="center",
            va="center",
            fontsize=self.type,
            color=INK,
        )

    def scale(self, axes: Sequence[Axes], colours: Any, end: float, text: str) -> None:
        """A scale of colours from 0 to `end`, to the right of `axes`, as tall as they at most."""
        first, last = axes[0].get_position(), axes[-1].get_position()
        figure = owner(axes[0])
        height = min(first.y1 - last.y0, 2.6 * self.width / Sheet.width / figure.get_figheight())
        inch = self.unit / self.width
        scale = figure.add_axes((first.x1 + 0.16 * inch, first.y1 - height, 0.15 * inch, height))
        scale.imshow(
            np.asarray(colours)[:, None, :] / 255,
            origin="lower",
            aspect="auto",
            extent=(0, 1, 0, end),
            interpolation="none",
        )
        scale.set_xticks([])
        scale.yaxis.set_major_locator(few(4))
        scale.yaxis.tick_right()
        self._ticks(scale)
        scale.yaxis.set_label_position("right")
        self.label(scale, y=text)


REPORT = Sheet()


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture, with what it shows in words; `figure` is matplotlib's."""

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure

    def encoded(self, kind: Format = "png") -> bytes:
        """The bytes of a file. PNG has 256 colours, a third of the size and looks the same."""
        return _png(self.figure) if kind == "png" else _vector(self.figure, kind, self.title)

    def for_report(self) -> ReportFigure:
        """The picture as a report holds it."""
        return ReportFigure(
            name=self.name,
            title=self.title,
            alt=self.alt,
            caption=self.caption,
            media_type="image/png",
            data=self.encoded(),
        )


def owner(axis: Axes) -> Any:
    """The figure that an axis is in."""
    return axis.get_figure(root=True)


def few(most: int, *, whole: bool = False) -> Any:
    """A locator of at most so many round ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10])


def round_up(value: float) -> float:
    """The next round number: the end of a scale."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1, 1.2, 1.5, 1.8, 2, 2.5, 3, 4, 5, 6, 8, 10])
    return float(steps[np.searchsorted(steps, value / power - 1e-9)] * power)


def colours(name: str, low: float = 0.0, high: float = 1.0) -> Any:
    """Steps of one of matplotlib's scales, red, green and blue from 0 to 255."""
    from matplotlib import colormaps

    return (255 * colormaps[name](np.linspace(low, high, _COLOURS))[:, :3]).round()


def speed_colours() -> Any:
    """viridis, dark where slow, without the brightest end, which would vanish on light ground."""
    return colours("viridis", 0.0, 0.93)


def coloured(values: Any, scale: Any, end: float) -> Any:
    """Pixels of `values` on a scale from 0 to `end`; NaN is the ground."""
    seen = ~np.isnan(values)
    pixels = np.empty((*values.shape, 3), np.uint8)
    pixels[:] = rgb(GROUND)
    steps = len(scale)
    index = np.clip(values[seen] / end * steps, 0, steps - 1).astype(np.uint8)
    pixels[seen] = np.asarray(scale).astype(np.uint8)[index]
    return pixels


def rgb(colour: str) -> tuple[int, int, int]:
    """#rrggbb as numbers."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # noqa: S101 - Sheet made it so
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3]
    # the octree is faster than the median cut, but makes white paper grey
    few_colours = Image.fromarray(drawn).quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few_colours.save(file, "PNG", compress_level=6, dpi=(figure.dpi, figure.dpi))
    return file.getvalue()


# Names inside SVG are hashed with a salt that only matplotlib's settings, global ones, can fix.
_SETTINGS = threading.Lock()


def _vector(figure: Figure, kind: Literal["svg", "pdf"], title: str) -> bytes:
    from matplotlib import rc_context

    nameless: dict[str, str | None] = {"Creator": None, "Title": title}
    nameless |= {"Date": None} if kind == "svg" else {"Producer": None, "CreationDate": None}
    fixed: dict[Any, Any] = {"svg.hashsalt": "ngsim", "svg.fonttype": "path", "pdf.fonttype": 42}
    file = io.BytesIO()
    with _SETTINGS, rc_context(fixed):
        figure.savefig(file, format=kind, dpi=figure.dpi, metadata=nameless)
    return file.getvalue()
