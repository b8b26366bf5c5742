"""Versions of a recording's metrics are found again, told apart and held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway.comparison import compared
from ngsim_assets.highway.history import Measured, NoSuchVersion, measured, versions
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    QUALITY_METRICS,
    RAW_TRAJECTORIES,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.stages import Platform, identity, open_platform
from ngsim_assets.settings import load_settings
from ngsim_assets.storage.parquet import Provenance
from ngsim_assets.storage.schema import Table

KEY = PartitionKey("us-101", "2005-06-15T0750")
OTHER = PartitionKey("i-80", "2005-04-13T1600")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return open_platform(load_settings(data=tmp_path))


def _store(
    platform: Platform,
    key: PartitionKey,
    values: Mapping[tuple[str, str], tuple[float | None, bool | None]],
    gap: float = 2.0,
    rows: str = "r",
) -> None:
    """One run of the stages, as far as a comparison looks at them."""

    def write(table: Table, row: Mapping[str, object], **told: object) -> None:
        content = {name: row.get(name) for name in table.schema}
        frame = pl.DataFrame([content], schema=table.schema)
        provenance = Provenance(code_version="1", **told)  # pyright: ignore[reportArgumentType]
        platform.lake.replace(table, identity(key), [frame], provenance)

    here = {**identity(key), "date": date(2005, 6, 15), "vehicle_type": "auto", "vehicle_id": 1}
    write(RAW_TRAJECTORIES, here, sources=(rows,))
    write(VALIDATED_POINTS, here | {"frame": 1}, parameters={"window": 5})
    cleaning = {"gap_limit": gap, "steps": [{"filter": "smooth", "method": {"label": "m"}}]}
    write(CLEANED_TRAJECTORIES, here | {"frame": 1, "speed": gap}, parameters=cleaning)
    metrics = [
        {
            **dict.fromkeys(QUALITY_METRICS.schema),
            **here,
            "metric": metric,
            "stage": stage,
            "value": value,
            "passed": passed,
            "unit": "%",
            "definition": "d",
        }
        for (metric, stage), (value, passed) in values.items()
    ]
    frame = pl.DataFrame(
        [{name: row[name] for name in QUALITY_METRICS.schema} for row in metrics],
        schema=QUALITY_METRICS.schema,
    )
    platform.lake.replace(QUALITY_METRICS, identity(key), [frame])


BEFORE = {
    ("quality_score", "cleaned"): (80.0, None),
    ("jerk_over_15", "cleaned"): (0.3, False),
    ("completeness", "cleaned"): (99.0, None),
    ("lane_changes", "cleaned"): (None, None),
    ("rejected:frozen", "raw"): (7.0, None),
    ("of_an_older_release", "cleaned"): (1.0, None),
}
AFTER = {
    ("quality_score", "cleaned"): (95.0, None),
    ("jerk_over_15", "cleaned"): (0.1, True),
    ("completeness", "cleaned"): (98.0, None),
    ("lane_changes", "cleaned"): (None, None),
}


@pytest.fixture
def twice(platform: Platform) -> Platform:
    _store(platform, KEY, BEFORE)
    _store(platform, OTHER, AFTER)
    _store(platform, KEY, AFTER, gap=0.5)
    return platform


def _outcomes(subject: Measured, reference: Measured, platform: Platform) -> dict[str, str]:
    comparison = compared(platform, subject, reference)
    return {metric.name: metric.outcome for metric in comparison.metrics}


def test_the_version_before_is_one_short_name_away(twice: Platform) -> None:
    now, before = measured(twice, KEY), measured(twice, KEY, "-1")
    assert now.current
    assert not before.current
    assert [v.version for v in versions(twice, KEY)] == [
        now.version.version,
        before.version.version,
    ]
    assert measured(twice, KEY, str(before.version.version)) == before


def test_every_metric_is_held_against_the_other_version(twice: Platform) -> None:
    now, before = measured(twice, KEY), measured(twice, KEY, "-1")
    assert _outcomes(now, before, twice) == {
        "quality_score": "better",
        "jerk_over_15": "better",
        "completeness": "worse",
        "rejected:frozen": "different",
        "of_an_older_release": "not comparable",
    }
    comparison = compared(twice, now, before)
    assert [metric.name for metric in comparison.changed] == ["jerk_over_15"]
    assert comparison.metrics[0].difference == 15.0
    rule = next(m for m in comparison.metrics if m.name == "rejected:frozen")
    assert rule.difference == -7.0


def test_what_changed_in_the_making_is_told(twice: Platform) -> None:
    now, before = measured(twice, KEY), measured(twice, KEY, "-1")
    (only,) = compared(twice, now, before).differences
    assert (only.name, only.reference, only.subject) == ("cleaning: gap_limit", "2.0", "0.5")
    facts = compared(twice, now, before).subject.facts
    assert facts["cleaning: smooth.method.label"] == "m"
    assert facts["delivery: hash of the rows"] == "r"


def test_the_points_of_either_version_are_found(twice: Platform) -> None:
    now, before = measured(twice, KEY), measured(twice, KEY, "-1")
    speeds = [
        side.points(twice, CLEANED_TRAJECTORIES).collect()["speed"].item() for side in (now, before)
    ]
    assert speeds == [0.5, 2.0]


def test_two_recordings_are_named_by_their_keys(twice: Platform) -> None:
    comparison = compared(twice, measured(twice, KEY), measured(twice, OTHER))
    assert comparison.title == f"{KEY} against {OTHER}"
    assert comparison.subject.label == str(KEY)
    assert {m.outcome for m in comparison.metrics} == {"same"}


def test_a_recording_against_itself_differs_in_nothing(twice: Platform) -> None:
    now = measured(twice, KEY)
    comparison = compared(twice, now, now)
    assert comparison.differences == ()
    assert {metric.outcome for metric in comparison.metrics} == {"same"}


@pytest.mark.parametrize("wanted", ["-2", "99", "0", "yesterday", "1.5"])
def test_a_version_that_is_not_there_names_those_that_are(twice: Platform, wanted: str) -> None:
    with pytest.raises(NoSuchVersion) as caught:
        measured(twice, KEY, wanted)
    assert f"@{wanted}" in caught.value.problem
    for version in versions(twice, KEY):
        assert f"@{version.version} (" in caught.value.fix


def test_nothing_measured_yet_says_how_to_measure(platform: Platform) -> None:
    with pytest.raises(NoSuchVersion, match="ngsim build"):
        measured(platform, KEY)
