"""Conditions of a session: the status of the track with messages of each topic, and the weather.

Belongs here: these two pictures. Does not belong here: phases (neutralisations/), limits.
"""

# pyright: reportUnknownMemberType=false
# matplotlib's keywords have no types

from __future__ import annotations

import polars as pl

from ngsim_assets.f1.assessment.scans import SessionScans
from ngsim_assets.f1.pictures import shading
from ngsim_assets.quality import drawing
from ngsim_assets.quality.drawing import REPORT, Picture, Sheet


def track_status(scans: SessionScans, *, sheet: Sheet = REPORT) -> Picture | None:
    """Codes in force, neutralisations, messages of race control, and when the session ran.

    None where no status of the track was told.
    """
    axis_of_time = shading.timeline(scans)
    status = shading.spans_of_status(scans, axis_of_time)
    if not status:
        return None
    figure, [axis] = sheet.stacked([2.0])
    found = shading.phases(scans, axis_of_time)
    rows = {"status": status, "phases": found}
    for place, spans in enumerate(reversed(rows.values()), start=1):
        for start, end, code in spans:
            colour = shading.STATUSES[code][1]
            axis.barh(place, end - start, left=start, height=0.62, color=colour, linewidth=0)
    control = scans.race_control.select(axis_of_time.minutes()).drop_nulls().collect()["minutes"]
    axis.plot(control.to_numpy(), [0.0] * len(control), "|", color=drawing.INK, markersize=9)
    for start, end in axis_of_time.ran.spans:
        left, right = axis_of_time.at(start), axis_of_time.at(end)
        axis.barh(3, right - left, left=left, height=0.62, color=drawing.BEFORE, linewidth=0)
    axis.set_yticks([3, 2, 1, 0], ["running", "status", "phases", "control"])
    axis.set_ylim(-0.6, 3.6)
    axis.set_xlim(*axis_of_time.limits)
    axis.grid(visible=False, axis="y")
    handles = shading.keys_of(code for *_, code in (*status, *found))
    sheet.keys(axis, handles, length=0.7)
    sheet.label(axis, x=axis_of_time.label)
    return Picture(
        name="track-status",
        title="Track status",
        alt=(
            "Four rows over the minutes of the session: when it ran, which status of the track "
            f"was in force, {len(found)} neutralisations, and {len(control)} messages of race "
            "control as strokes."
        ),
        caption=(
            "Running: from Started to the next status of the session. Phases are the rows of "
            "f1_neutralisations, of all that is known."
        ),
        figure=figure,
    )


def weather(scans: SessionScans, *, sheet: Sheet = REPORT) -> Picture | None:
    """Temperatures, humidity and wind as observed, rain shaded; None without observations."""
    axis_of_time = shading.timeline(scans)
    seen = (
        scans.weather.filter(pl.col("kind") == "observation")
        .select(
            axis_of_time.minutes("valid_time"),
            "air_temperature",
            "track_temperature",
            "humidity",
            "wind_speed",
            "rainfall",
        )
        .drop_nulls("minutes")
        .sort("minutes")
        .collect()
    )
    if seen.is_empty():
        return None
    figure, axes = sheet.stacked([1.7, 1.2, 1.0], between=0.22)
    lines = (
        (("track_temperature", "track"), ("air_temperature", "air")),
        (("humidity", "humidity"),),
        (("wind_speed", "wind"),),
    )
    wet = seen.filter("rainfall")["minutes"]
    for axis, told, label in zip(axes, lines, ("°C", "humidity, %", "wind, m/s"), strict=True):
        for minute in wet:
            axis.axvspan(minute - 0.5, minute + 0.5, color="#56b4e9", alpha=0.35, linewidth=0)
        for number, (column, name) in enumerate(told):
            axis.plot(
                seen["minutes"].to_numpy(),
                seen[column].cast(pl.Float64).to_numpy(),
                ".-",
                color=drawing.SERIES[1 - number] if len(told) > 1 else drawing.AFTER,
                linewidth=1.2 * sheet.unit,
                markersize=2.0 * sheet.unit,
                label=name,
            )
        axis.set_xlim(*axis_of_time.limits)
        axis.yaxis.set_major_locator(drawing.few(4))
        axis.tick_params(labelbottom=axis is axes[-1])
        sheet.label(axis, y=label)
    sheet.legend(axes[0], place="above")
    sheet.label(axes[-1], x=axis_of_time.label)
    return Picture(
        name="weather",
        title="Weather",
        alt=(
            f"{seen.height} observations over the minutes of the session, one below the other: "
            f"temperature of track and air, humidity, wind; {len(wet)} minutes with rain shaded."
        ),
        caption="As the station at the circuit observed it, about once a minute. Shaded: rain.",
        figure=figure,
    )
