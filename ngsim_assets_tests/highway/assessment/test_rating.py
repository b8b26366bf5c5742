"""The score of trajectories: honest about noise, null of nothing, each weight with a reason."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.highway.assess import RowCounts, assess
from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.assessment.metrics import CLEANED, RAW, VALIDATED
from ngsim_assets.highway.assessment.rating import CRITERIA, QUALITY_SCORE, ratings, with_scores
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, QUALITY_METRICS, VALIDATED_POINTS
from ngsim_assets.highway.sites import SITES, US_101
from ngsim_assets_tests.highway.sample_recordings import RECORDING, Sample, sample_recording


@pytest.fixture(scope="module")
def metrics() -> pl.DataFrame:
    sample = sample_recording(gap_every=5)
    counts = RowCounts(sample.validated.height, sample.validated.height, 0)
    return _assessed(sample, counts)


def _assessed(sample: Sample, counts: RowCounts) -> pl.DataFrame:
    return assess(sample.validated.lazy(), sample.cleaned.lazy(), counts, US_101, RECORDING)


def _metrics(values: dict[tuple[str, str], float | None]) -> pl.DataFrame:
    rows = [
        {
            "highway_id": "us-101",
            "recording": RECORDING,
            "date": date(2005, 6, 15),
            "metric": metric,
            "stage": stage,
            "value": value,
            "unit": "",
            "definition": "d",
        }
        for (stage, metric), value in values.items()
    ]
    absent = {name: None for name in QUALITY_METRICS.schema if name not in rows[0]}
    return pl.DataFrame([row | absent for row in rows], schema=QUALITY_METRICS.schema)


def test_every_criterion_is_a_metric_of_that_stage_and_says_why() -> None:
    known = {
        (stage, metric.name)
        for section in catalogue(US_101)
        for metric in section.metrics
        for stage in metric.stages
    }
    for stage, criteria in CRITERIA.items():
        for criterion in criteria:
            stages = {stage, RAW} if stage == VALIDATED else {stage}
            assert {(s, criterion.metric) for s in stages} & known, criterion.metric
            assert criterion.why.endswith(".")
            assert criterion.source
        assert len({criterion.metric for criterion in criteria}) == len(criteria)


def test_limits_and_best_marks_agree() -> None:
    """Nothing that keeps its limit is short of full points for more than the limit asks."""
    limits = {m.name: m.limit for s in catalogue(US_101) for m in s.metrics if m.limit}
    for criterion in CRITERIA[CLEANED]:
        limit = limits.get(criterion.metric)
        if limit is not None:
            assert criterion.full == limit.threshold, criterion.metric


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_nothing_is_null_and_not_a_hundred(site) -> None:
    empty = Sample(
        pl.DataFrame(schema=VALIDATED_POINTS.schema),
        pl.DataFrame(schema=CLEANED_TRAJECTORIES.schema),
    )
    for counts in (RowCounts(0, 0, 0), RowCounts(10, 0, 10, {"frozen": 10})):
        found = assess(empty.validated.lazy(), empty.cleaned.lazy(), counts, site, RECORDING)
        assert [rating.score for rating in ratings(found)] == [None, None]
        scores = with_scores(found).filter(metric=QUALITY_SCORE)
        assert scores["value"].to_list() == [None, None]


def test_one_point_is_too_little_for_a_score() -> None:
    sample = sample_recording()
    one = Sample(sample.validated.head(1), sample.cleaned.head(1))
    found = _assessed(one, RowCounts(1, 1, 0))
    assert [rating.score for rating in ratings(found)] == [None, None]


def test_noise_as_published_is_far_below_what_was_cleaned() -> None:
    """Figures of delivered rows (excerpts, Punzo) against those of reconstructed ones."""
    delivered = {
        "jerk_over_15": 17.4,
        "jerk_sign_inversions": 74.0,
        "acceleration_over_3": 10.0,
        "velocity_backwards": 3.0,
        "position_speed_rmse": 1.2,
        "speed_acceleration_rmse": 0.8,
        "overlaps": 0.3,
        "headway_rmse": 0.001,
        "leader_unreciprocated": 0.1,
        "completeness": 99.5,
    }
    cleaned = dict.fromkeys(delivered, 0.0) | {
        "completeness": 99.8,
        "edie_speed_change": -0.3,
        "residual_along_rmse": 0.15,
        "points_imputed": 0.4,
    }
    values = {(VALIDATED, name): value for name, value in delivered.items()}
    values |= {(CLEANED, name): value for name, value in cleaned.items()}
    values[RAW, "rows_quarantined_share"] = 0.5
    before, after = (rating.score for rating in ratings(_metrics(values)))
    assert before is not None
    assert after is not None
    assert before < 55
    assert after > 95


def test_smooth_but_elsewhere_is_not_full() -> None:
    values: dict[tuple[str, str], float | None] = {
        (CLEANED, criterion.metric): criterion.full for criterion in CRITERIA[CLEANED]
    }
    (_, full) = ratings(_metrics(values))
    assert full.score == 100.0
    (_, moved) = ratings(_metrics(values | {(CLEANED, "residual_along_rmse"): 2.5}))
    assert moved.score == pytest.approx(100 - 100 * 5 / sum(c.weight for c in CRITERIA[CLEANED]), 1)


@given(st.data())
def test_better_metrics_never_lower_the_score(data: st.DataObject) -> None:
    stage = data.draw(st.sampled_from([VALIDATED, CLEANED]))
    criteria = CRITERIA[stage]
    share = st.floats(min_value=-0.5, max_value=1.5)
    worse = {c.metric: c.none + data.draw(share) * (c.full - c.none) for c in criteria}
    chosen = data.draw(st.sampled_from(criteria))
    step = data.draw(st.floats(min_value=0.0, max_value=1.0)) * (chosen.full - chosen.none)
    better = worse | {chosen.metric: worse[chosen.metric] + step}
    if chosen.absolute:
        better[chosen.metric] = min(abs(better[chosen.metric]), abs(worse[chosen.metric]))

    def score(values: dict[str, float]) -> float:
        rows = {(stage, name): value for name, value in values.items()}
        found = next(rating for rating in ratings(_metrics(rows)) if rating.stage == stage)
        assert found.score is not None
        return found.score

    assert score(better) >= score(worse)


def test_scores_are_rows_of_the_table_and_made_once(metrics: pl.DataFrame) -> None:
    scored = with_scores(metrics)
    assert dict(scored.schema) == dict(QUALITY_METRICS.schema)
    assert scored.height == metrics.height + 2
    assert with_scores(scored).equals(scored)
    rows = scored.filter(metric=QUALITY_SCORE).sort("stage")
    assert rows["stage"].to_list() == [CLEANED, VALIDATED]
    assert rows["unit"].to_list() == ["points", "points"]
    assert rows["definition"].str.contains("jerk_over_15").all()
    assert scored.equals(scored.sort(QUALITY_METRICS.sort_by))
