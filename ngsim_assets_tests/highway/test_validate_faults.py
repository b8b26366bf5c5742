"""How many faults of each kind are found, and how many sound rows are blamed, on known truth."""

from __future__ import annotations

import polars as pl
import pytest

from ngsim_assets.highway.scoring.detection import EXPECTED, detection, false_alarms, overall
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.faults import ROW_FAULTS, inject_faults
from ngsim_assets.highway.validate import accepted, judge, neighbours, rejected
from ngsim_assets_tests.highway.synthetic import as_logical

# Recordings of another size, site, traffic, noise and density of faults than thresholds were set
# on, and seeds that nothing else uses.
SCENARIOS: dict[str, tuple[Scenario, float]] = {
    "dense": (Scenario(minutes=1.2, congestion="congested", noise="severe", seed=7_020), 0.05),
    "sparse": (Scenario("i-80", minutes=1.5, noise="ngsim", seed=7_021), 0.01),
    "free": (Scenario("i-80", minutes=1.5, congestion="free", noise="white", seed=7_022), 0.03),
}


def as_raw(scenario: Scenario, rows: pl.DataFrame) -> pl.LazyFrame:
    return as_logical(
        rows.with_row_index("source_row", offset=1),
        highway_id=scenario.highway_id,
        recording=scenario.recording,
        date=scenario.site.date,
        source_file="recording.txt",
        source_text=None,
    ).lazy()


@pytest.fixture(scope="module", params=list(SCENARIOS))
def judged(request: pytest.FixtureRequest) -> tuple[pl.DataFrame, pl.LazyFrame]:
    """Labels, and the verdicts on the recording they belong to."""
    scenario, rate = SCENARIOS[str(request.param)]
    rows, labels = inject_faults(simulate(scenario).recording, rate, seed=scenario.seed)
    raw = as_raw(scenario, rows)
    context = neighbours(raw, scenario.site)
    verdicts = judge(raw, scenario.site, neighbours=context, t0=scenario.frame_origin)
    rows_out = accepted(verdicts).collect().height + rejected(verdicts).collect().height
    assert rows_out == rows.height
    return labels, verdicts


def test_faults_of_every_kind_are_found(judged: tuple[pl.DataFrame, pl.LazyFrame]) -> None:
    found = detection(*judged)
    assert set(found["fault"]) >= set(ROW_FAULTS) - {"swapped_ids", "overlap_with_leader"}
    assert found.filter(pl.col("recall") < 0.95).rows() == []
    assert overall(found) >= 0.99


def test_faults_are_called_what_they_are(judged: tuple[pl.DataFrame, pl.LazyFrame]) -> None:
    """Rejected for another reason is caught, too, but says something that is not so."""
    labels, verdicts = judged
    # a displaced row may leave the site, and a row that collides with another be settled there
    elsewhere = {f"{axis}_position_{side}" for axis in "xy" for side in ("below", "above")}
    named = labels.filter(pl.col("row").is_not_null()).join(
        verdicts.select("source_row", "reasons").collect(), on="source_row"
    )
    for (kind,), rows in named.group_by("fault"):
        known = [*EXPECTED[str(kind)], *elsewhere]
        odd = rows.filter(pl.col("reasons").list.set_difference(known).list.len() > 0)
        assert odd.height <= 0.01 * rows.height, kind


def test_sound_rows_are_left_alone(judged: tuple[pl.DataFrame, pl.LazyFrame]) -> None:
    alarms = false_alarms(*judged)
    assert alarms.share <= 0.001
    assert alarms.touched <= 0.001 * alarms.sound


@pytest.mark.parametrize("noise", ["white", "ngsim", "severe", "hand-over"])
def test_noise_is_no_fault(noise: str) -> None:
    scenario = Scenario(minutes=0.5, congestion="congested", noise=noise, seed=7_030)
    verdicts = judge(as_raw(scenario, simulate(scenario).recording), scenario.site).collect()
    assert verdicts["reasons"].list.len().sum() == 0
    blamed = verdicts.filter(pl.col("flags").list.len() > 0)
    assert blamed.height / verdicts.height <= 0.001
