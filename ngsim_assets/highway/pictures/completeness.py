"""What was not seen: trajectories by frames seen, gaps by length, and where they lie.

Belongs here: these two pictures. Does not belong here: how pictures look in general
(quality/drawing.py), counting per cell (raster.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ngsim_assets.highway.assessment import track_measures
from ngsim_assets.highway.pictures import raster
from ngsim_assets.highway.pictures.recording import CELL_METRES, CELL_SECONDS, Recording, Stage
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, STYLES, Picture, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STAGES: tuple[Stage, Stage] = ("validated", "cleaned")


def completeness(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """Trajectories by share of frames seen, and gaps by length, before and after."""
    figure, (shares, gaps) = sheet.stacked([1.9, 1.9], between=0.85)
    edges = np.array([0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0])
    ends = np.array([0, 1, 5, 10, 20, 50])
    for k, (stage, style) in enumerate(zip(_STAGES, STYLES, strict=True)):
        tracks = recording.tracks(stage)
        x, y = tracks.read("x", "y")
        spans = track_measures.spans(tracks, x, y)
        seen = spans["seen"].to_numpy() / (spans["seen"] + spans["missing"]).to_numpy()
        classes = np.searchsorted(edges, seen, side="right") - 1
        _bars(shares, np.bincount(classes, minlength=len(edges)), k, style, sheet)
        lengths = np.searchsorted(ends, raster.gap_lengths(tracks), side="left") - 1
        _bars(gaps, np.bincount(lengths, minlength=len(ends)), k, style, sheet)
    below = [f"{100 * a:g}–{100 * b:g}" for a, b in pairwise(edges)]
    shares.set_xticks(range(len(edges)), [*below, "100"])
    sheet.title(shares, "Trajectories by frames seen")
    sheet.label(shares, x="frames seen between first and last, %", y="trajectories")
    gaps.set_xticks(range(len(ends)), ["0.1", "0.2–0.5", "0.6–1", "1.1–2", "2.1–5", "over 5"])
    sheet.title(gaps, "Gaps by length")
    sheet.label(gaps, x="length of gap, s", y="gaps")
    for axis in (shares, gaps):
        axis.grid(visible=False, axis="x")
        axis.margins(y=0.18)
        axis.yaxis.set_major_locator(drawing.few(5, whole=True))
    sheet.legend(shares, place="above")
    sheet.legend(gaps, place="above")
    return Picture(
        name="completeness",
        title="Completeness before and after",
        alt=(
            "Two bar charts, grey delivered and blue cleaned: trajectories by share of frames "
            "seen between first and last, and gaps inside trajectories by length."
        ),
        caption=(
            "Frames seen against frames between a vehicle's first and last one; the last class "
            "is complete. Gaps left after cleaning were longer than it fills."
        ),
        figure=figure,
    )


def completeness_map(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """Where frames are missing as delivered, and where points were changed by cleaning."""
    time, (low, high) = recording.time, recording.place
    seconds = time.end / time.per_second
    window = raster.Window(
        time.first,
        time.last,
        low,
        high,
        max(1, round(seconds / CELL_SECONDS)),
        max(1, round((high - low) / CELL_METRES)),
    )
    before, after = recording.tracks("validated"), recording.tracks("cleaned")
    [y] = before.read("y")
    seen, _, missing = raster.presence(before, y, np.zeros(len(y), np.bool_), window)
    y, imputed, repaired = after.read("y", "imputed", "repaired")
    points, changed, _ = raster.presence(after, y, imputed | repaired, window)
    parts = {
        "Not seen, delivered": (missing, seen + missing),
        "Imputed or repaired, cleaned": (changed, points),
    }
    shares = {name: _percent(part, whole) for name, (part, whole) in parts.items()}
    every = np.concatenate([share[~np.isnan(share)] for share in shares.values()])
    end = max(1.0, drawing.round_up(float(np.quantile(every, 0.995)))) if len(every) else 1.0
    end = min(100.0, end)
    figure, axes = sheet.stacked([1.75, 1.75], between=0.4, right=1.2)
    scale = drawing.colours("magma_r", 0.02, 0.9)
    for axis, (name, share) in zip(axes, shares.items(), strict=True):
        axis.imshow(
            drawing.coloured(share, scale, end),
            origin="lower",
            aspect="auto",
            interpolation="none",
            extent=(0.0, time.end, low, high),
        )
        axis.grid(visible=False)
        axis.tick_params(labelbottom=axis is axes[-1])
        axis.yaxis.set_major_locator(drawing.few(4))
        part, whole = (int(counts.sum()) for counts in parts[name])
        sheet.title(axis, f"{name}: {100 * part / max(1, whole):.2g} % of frames")
        sheet.label(axis, y="y, m")
        sheet.scale([axis], scale, end, "frames, %")
    sheet.label(axes[-1], x=time.label)
    return Picture(
        name="completeness-map",
        title="Where frames are missing",
        alt=(
            "Two maps over time and position along the section, pale where nothing is missing, "
            "dark where much is: share of vehicles' frames not seen as delivered, and share of "
            f"cleaned points that were imputed or repaired, from 0 to {end:g} %."
        ),
        caption=(
            f"Cells of about {CELL_SECONDS:g} s x {CELL_METRES:g} m. A missing frame lies on the "
            "straight line between the positions before and after it. Grey: nobody there. Both "
            "on one scale."
        ),
        figure=figure,
    )


def _percent(part: Any, whole: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, 100 * part / whole, np.nan)


def _bars(axis: Axes, counts: Any, k: int, style: drawing.Style, sheet: Sheet) -> None:
    places = np.arange(len(counts)) + 0.4 * (k - 0.5)
    bars = axis.bar(places, counts, width=0.38, color=style.colour, label=style.name)
    size = sheet.small - 1.5 * sheet.unit
    axis.bar_label(bars, [f"{n:,}" if n else "" for n in counts], fontsize=size)
