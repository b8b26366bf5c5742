"""Every quality metric of a session, once: name, meaning, unit, and the limit it is held against.

A metric that is measured of several subjects (topics, cars, rules) stands here once; its rows are
named `metric:subject` in a report.

Belongs here: words and limits, each limit with its source. Does not belong here: any computation
(the modules of figures).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ngsim_assets.f1.sessions import Kind
from ngsim_assets.f1.telemetry.resample import GAP_LIMIT_MS
from ngsim_assets.f1.timing.health import LONGEST_MS
from ngsim_assets.f1.validation_rules import MEASURED, ROBUST_Z, SECTOR_SUM_MS, WEATHER_GAP
from ngsim_assets.quality.report import Limit, Metric, Section

CHOSEN = "chosen here"
OF_TELEMETRY = "measured on 148,492 rows of a 2024 session"

_Relation = Literal["at most", "at least", "within"]


def catalogue(kind: Kind) -> tuple[Section, ...]:
    """Every metric of a session of that kind, in the order a report shows them."""
    return (_laps(), _neutralisations(), _feed(), _telemetry(), _weather(), _rows())


RULE_METRICS: tuple[Metric, ...] = (
    Metric(
        name="rejected",
        title="Rejected",
        unit="rows",
        definition="Rows that a rule rejected, by table.rule; a row that broke two counts in both.",
    ),
    Metric(
        name="rejected_share",
        title="Share rejected",
        unit="%",
        definition="Those against all rows of the table, believed or not.",
    ),
    Metric(
        name="flagged",
        title="Flagged",
        unit="rows",
        definition="Rows that a rule flagged, by table.rule.",
    ),
)
"""Metrics of rules, which a report shows as its list of rules."""


def limit_of(metric: Metric, subject: str, kind: Kind) -> Limit | None:
    """What a metric is held against; for some it depends on the subject or kind of session."""
    if metric.name == "longest_silence":
        return _silence(subject, kind)
    return metric.limit


def names(sections: Iterable[Section]) -> dict[str, Metric]:
    """Metrics by name."""
    return {metric.name: metric for section in sections for metric in section.metrics}


def _metric(
    name: str,
    title: str,
    unit: str,
    definition: str,
    limit: tuple[_Relation, float, str] | None = None,
    distribution: str = "",
) -> Metric:
    held = None
    if limit is not None:
        relation, threshold, basis = limit
        held = Limit(threshold=threshold, relation=relation, basis=basis)
    return Metric(
        name=name,
        title=title,
        unit=unit,
        definition=definition,
        limit=held,
        distribution=distribution,
    )


def _silence(topic: str, kind: Kind) -> Limit | None:
    if topic not in LONGEST_MS or (topic == "TimingData" and kind != "race"):
        return None
    basis = {
        "TimingData": "7.5 s at most in a real race; outside races it is while "
        "all cars are in their garages, for up to 285 s, and has no limit",
        "WeatherData": "observations come once a minute, to the second",
        "Heartbeat": f"a sign of life; margin {CHOSEN}",
    }[topic]
    return Limit(threshold=LONGEST_MS[topic] / 1000, relation="at most", basis=basis)


def _laps() -> Section:
    racing = (
        "Racing laps are green throughout, follow a green one, and are neither out of nor into "
        "the pits, nor the first of a race."
    )
    return Section(
        name="laps",
        title="Laps",
        introduction=racing,
        metrics=(
            _metric("laps", "Laps", "laps", "Rows of f1_laps."),
            _metric(
                "laps_complete",
                "Laps closed of those expected",
                "%",
                "Rows of f1_laps against the sum of every driver's highest lap number, believed "
                "or in quarantine.",
                (
                    "at least",
                    99.5,
                    "laps are numbered without gaps; 1 in 841 is missing at most in real sessions",
                ),
            ),
            _metric("laps_timed", "Laps with a lap time", "%", "Rows of f1_laps with a lap time."),
            _metric("racing_laps", "Racing laps", "laps", "Rows of f1_laps at racing speed."),
            _metric(
                "racing_laps_timed",
                "Racing laps with a lap time",
                "%",
                "Racing laps with a lap time.",
                ("at least", 99.0, f"all 1,033 of five real sessions have one; margin {CHOSEN}"),
            ),
            _metric(
                "sectors_agree",
                "Laps whose sectors sum to the lap time",
                "%",
                f"Laps whose three sectors differ from their lap time by {SECTOR_SUM_MS} ms at "
                "most, of those with all four times, in f1_laps or refused for it.",
                (
                    "at least",
                    99.8,
                    f"{MEASURED}: 1 of 4,487 laps fails; one in 500 {CHOSEN}",
                ),
            ),
            _metric(
                "sector_difference",
                "Largest difference of sectors and lap time",
                "ms",
                "Largest absolute difference of a believed lap's time and the sum of its sectors.",
            ),
            _metric(
                "racing_lap_outliers",
                "Robust outliers among racing laps",
                "%",
                f"Timed racing laps of a race more than {ROBUST_Z:g} robust standard deviations "
                "of the field (1.4826 x MAD) off their driver's median; null outside races.",
                ("at most", 2.0, f"1 of 571 in a real race; margin {CHOSEN}"),
            ),
            _metric(
                "laps_neutralised",
                "Neutralised laps",
                "%",
                "Rows of f1_laps that any code but 1 and 2 of the track status was in force in.",
            ),
            _metric(
                "laps_accurate",
                "Accurate laps",
                "%",
                "Rows of f1_laps that tell of the car's pace (column accurate).",
            ),
            _metric(
                "compound_known",
                "Laps with a tyre compound",
                "%",
                "Rows of f1_laps with a compound that is raced on.",
                (
                    "at least",
                    95.0,
                    f"3 of 356 laps lack one in the worst real session; margin {CHOSEN}",
                ),
            ),
        ),
    )


def _neutralisations() -> Section:
    return Section(
        name="neutralisations",
        title="Neutralisations",
        introduction="Status of the track, race control and lap times each tell of safety cars "
        "and red flags on their own.",
        metrics=(
            _metric("phases", "Phases", "phases", "Rows of f1_neutralisations."),
            _metric(
                "phases_in_status",
                "Phases that the track status tells",
                "%",
                "Phases whose evidence is the status, of all; null where the feed has no status.",
                ("at least", 100.0, "all 20 phases of ten real sessions"),
            ),
            _metric(
                "phases_confirmed",
                "Phases that race control confirms",
                "%",
                "Phases with confirmed true, of those race control could speak of.",
                ("at least", 100.0, "all 20 phases of ten real sessions"),
            ),
            _metric(
                "phases_seen_in_laps",
                "Phases that lap times show",
                "%",
                "Phases with seen_in_laps true, of those lap times could show.",
            ),
            _metric(
                "phases_only_in_laps",
                "Phases that only lap times show",
                "phases",
                "Rows of f1_neutralisations whose evidence is lap times.",
                ("at most", 0.0, "a slow field that nobody told of is a hole in the feed, or rain"),
            ),
        ),
    )


def _feed() -> Section:
    return Section(
        name="feed",
        title="Feed",
        introduction="Every line becomes messages or is set aside with a reason.",
        metrics=(
            _metric("messages", "Messages", "messages", "Rows of f1_messages."),
            _metric(
                "topic_messages",
                "Messages",
                "messages",
                "Rows of f1_messages per topic.",
            ),
            _metric(
                "set_aside",
                "Set aside",
                "items",
                "Lines and messages of f1_quarantine that reading and folding set aside.",
            ),
            _metric(
                "set_aside_share",
                "Share set aside",
                "%",
                "Those set aside against messages and lines that are none.",
                ("at most", 0.1, f"1 line of ten real sessions; one in a thousand {CHOSEN}"),
            ),
            _metric(
                "set_aside_for",
                "Share set aside",
                "%",
                "Items set aside per reason, as set_aside_share: duplicate and out_of_order are "
                "what a reconnection repeats or a network delays.",
            ),
            _metric(
                "session_over",
                "Feed tells the end of the session",
                "",
                "1 where the session was started and its end (Finished, Finalised or Ends) was "
                "told, otherwise 0; null without any status.",
                ("at least", 1.0, "a feed that ends before its session was cut off"),
            ),
            _metric(
                "longest_silence",
                "Longest silence",
                "s",
                "Longest time without a message of the topic while the session runs (Started "
                "until the next status), both its ends counted.",
            ),
        ),
    )


def _telemetry() -> Section:
    bridged = GAP_LIMIT_MS
    return Section(
        name="telemetry",
        title="Telemetry",
        introduction="The feed tells of cars about four times a second; anything faster is "
        "resampled, simulated or of a game.",
        metrics=(
            _metric("telemetry_rows", "Rows", "rows", "Rows per table of telemetry."),
            _metric(
                "telemetry_rate",
                "Rate, slowest car",
                "Hz",
                "Lowest rate of any car: rows less one, over the time from its first to its last.",
                (
                    "at least",
                    3.0,
                    f"{OF_TELEMETRY}: 3.79 Hz of car data, 3.87 of positions; margin {CHOSEN}",
                ),
            ),
            _metric(
                "telemetry_coverage",
                "Minutes with telemetry",
                "%",
                "Minutes while the session runs with a row of any car within 30 s of their "
                "middle; null where it is not known when it ran in UTC.",
                ("at least", 95.0, f"the feed tells of cars all the time; margin {CHOSEN}"),
            ),
            _metric(
                "telemetry_gap_p99",
                "99th percentile of gaps, worst car",
                "ms",
                "Largest of the cars' 99th percentiles of time between two rows.",
                ("at most", float(bridged), f"{OF_TELEMETRY}: 480 ms; longer gaps are not bridged"),
            ),
            _metric(
                "telemetry_bridged",
                "Gaps that can be bridged",
                "%",
                f"Gaps of {bridged} ms at most between two rows of a car, of all.",
                ("at least", 99.0, f"{OF_TELEMETRY}: 99 % are within 480 ms"),
            ),
            _metric(
                "telemetry_longest_gap",
                "Longest gap",
                "s",
                "Longest time between two rows of a car.",
            ),
            _metric(
                "rate_of_car",
                "Rate of car",
                "Hz",
                "Rows of f1_telemetry less one, over the time from first to last.",
                distribution="rate_of_car",
            ),
            _metric(
                "longest_gap_of_car",
                "Longest gap of car",
                "s",
                "Longest time between two rows of f1_telemetry.",
                distribution="longest_gap_of_car",
            ),
            _metric(
                "nulled",
                "Rows with a code instead of a value",
                "%",
                "Rows of a table of telemetry that a delivered code made null in, by table.reason.",
            ),
        ),
    )


def _weather() -> Section:
    return Section(
        name="weather",
        title="Weather",
        introduction="",
        metrics=(
            _metric(
                "observations", "Observations", "rows", "Rows of f1_weather that are observed."
            ),
            _metric("forecasts", "Forecasts", "rows", "Rows of f1_weather that are foretold."),
            _metric(
                "weather_coverage",
                "Minutes with weather",
                "%",
                "Minutes while the session runs with an observation within "
                f"{WEATHER_GAP.seconds / 2:g} s of their middle; null without observations.",
                ("at least", 95.0, f"observations come once a minute; margin {CHOSEN}"),
            ),
            _metric(
                "weather_complete",
                "Complete observations",
                "%",
                "Observations with air and track temperature, humidity and pressure.",
                ("at least", 99.0, f"all of five real sessions; margin {CHOSEN}"),
            ),
        ),
    )


def _rows() -> Section:
    return Section(
        name="rows",
        title="Rows refused",
        introduction="Every row is believed, perhaps with flags, or in quarantine with the rules "
        "it broke.",
        metrics=(
            _metric(
                "rows_quarantined",
                "Rows in quarantine",
                "rows",
                "Rows of a table that validation put into f1_quarantine.",
            ),
            _metric(
                "rows_quarantined_share",
                "Share in quarantine",
                "%",
                "Those against all rows of the table, believed or not.",
                ("at most", 1.0, f"1 of 841 in the worst real session; margin {CHOSEN}"),
            ),
        ),
    )
