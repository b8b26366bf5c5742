"""Figures of the feed: messages, silence, what was set aside; and of the weather it told.

Belongs here: how these metrics are computed. Does not belong here: their names' meanings and
limits (catalogue.py), which silences are worth an alarm while a session runs (timing/health.py).
"""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from ngsim_assets.f1.assessment.scans import Figures, Running, SessionScans, percent
from ngsim_assets.f1.timing.health import LONGEST_MS
from ngsim_assets.f1.validation_rules import WEATHER_GAP

ASIDE_REASONS = ("duplicate", "out_of_order")
"""Reasons that have a row whether or not anything was set aside for them."""


_NEAR = WEATHER_GAP.total_seconds() * 1000 / 2


def of_feed(scans: SessionScans, ran: Running) -> Figures:
    """What came, what was set aside, and how long a topic was silent."""
    counted = scans.messages.group_by("topic").len().collect()
    messages = int(counted["len"].sum())
    aside = (
        scans.quarantine.filter(pl.col("table") == "f1_messages")
        .select("stage", "reasons")
        .collect()
    )
    # what folding set aside was a message before, what reading did was none
    items = messages + int((aside["stage"] == "reading").sum())
    reasons = aside.select(pl.col("reasons").explode()).drop_nulls().group_by("reasons").len()
    by_reason = dict.fromkeys(ASIDE_REASONS, 0) | dict(reasons.iter_rows())
    figures: Figures = {
        ("messages", ""): messages,
        ("set_aside", ""): aside.height,
        ("set_aside_share", ""): percent(aside.height, items),
        ("session_over", ""): float(ran.over) if ran.told else None,
    }
    figures |= {("topic_messages", topic): rows for topic, rows in counted.iter_rows()}
    figures |= {("set_aside_for", why): percent(rows, items) for why, rows in by_reason.items()}
    silences: Figures = dict.fromkeys((("longest_silence", topic) for topic in LONGEST_MS), None)
    return figures | silences | _silences(scans.messages, ran)


def of_weather(scans: SessionScans, ran: Running) -> Figures:
    """How much of the session has weather, and how much of it is whole."""
    values = ("air_temperature", "track_temperature", "humidity", "pressure")
    rows = scans.weather.select("kind", ran.time("valid_time"), *values).collect()
    observed = rows.filter(pl.col("kind") == "observation")
    whole = observed.drop_nulls(values).height
    return {
        ("observations", ""): observed.height,
        ("forecasts", ""): rows.height - observed.height,
        ("weather_coverage", ""): ran.covered(observed["time"], _NEAR),
        ("weather_complete", ""): percent(whole, observed.height),
    }


def _silences(messages: pl.LazyFrame, ran: Running) -> Figures:
    if not ran.spans:
        return {}
    times = messages.select("topic", ran.time()).drop_nulls().sort("time").collect()
    found: Figures = {}
    for [topic], told in times.group_by("topic"):
        moments = told["time"].to_numpy()
        longest = 0
        for start, end in ran.spans:
            within = moments[(moments > start) & (moments < end)].tolist()
            longest = max(longest, *(b - a for a, b in pairwise([start, *within, end])))
        found["longest_silence", str(topic)] = longest / 1000
    return found
