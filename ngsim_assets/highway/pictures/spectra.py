"""Spectra of speed and acceleration, before and after.

Belongs here: this one picture. Does not belong here: the estimate (assessment/spectra.py), how
pictures look in general (quality/drawing.py).
"""

from __future__ import annotations

from typing import Any

from ngsim_assets.highway.assessment.spectra import WINDOW, mean_spectrum
from ngsim_assets.highway.pictures.recording import Recording, Stage
from ngsim_assets.quality.drawing import REPORT, STYLES, Picture, Sheet

_STAGES: tuple[Stage, Stage] = ("validated", "cleaned")
_DECADES = 8.0  # shown at most below the highest density: less is rounding


def spectra(recording: Recording, *, sheet: Sheet = REPORT) -> Picture:
    """Power density of speed and acceleration over frequency, delivered and cleaned."""
    figure, axes = sheet.stacked([2.4, 2.4], between=0.85)
    units = {"speed": "(m/s)²/Hz", "acceleration": "(m/s²)²/Hz"}
    for (name, unit), axis in zip(units.items(), axes, strict=True):
        highest = 0.0
        for stage, style in zip(_STAGES, STYLES, strict=True):
            tracks = recording.tracks(stage)
            frequencies, density = mean_spectrum(tracks, tracks.read(name)[0])
            shown = (frequencies > 0) & (density > 0)
            highest = max(highest, float(density[shown].max(initial=0.0)))
            axis.plot(
                frequencies[shown],
                density[shown],
                color=style.colour,
                linewidth=(style.line + 0.6) * sheet.unit,
                label=style.name,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(1 / WINDOW, 5.0)
        _decades(axis, highest)
        sheet.title(axis, name.capitalize())
        sheet.label(axis, x="frequency, Hz", y=f"PSD, {unit}")
        if highest:
            sheet.legend(axis, place="above")
        else:
            sheet.note(axis, f"no trajectory of {WINDOW:g} s")
    return Picture(
        name="spectra",
        title="Spectra before and after",
        alt=(
            "Two plots on logarithmic axes: power density of speed and of acceleration over "
            "frequency from 0.08 to 5 Hz, grey delivered, blue cleaned."
        ),
        caption=(
            f"Power spectral density (PSD), mean over segments of {WINDOW:g} s of all "
            "trajectories (Welch 1967). Drivers act below about 1 Hz; what stands above it as "
            "delivered is error of measurement."
        ),
        figure=figure,
    )


def _decades(axis: Any, highest: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    if highest:
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, highest / 10**_DECADES), high)
    else:
        axis.set_ylim(0.1, 10)
    axis.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_locator(LogLocator(10, numticks=6))
    axis.yaxis.set_minor_formatter(NullFormatter())
