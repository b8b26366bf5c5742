"""A score as a whole, and `ngsim score`: small recordings, all methods."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets import cli
from ngsim_assets.highway import score as scoring
from ngsim_assets.highway.reconstruction.methods import METHODS, UnknownMethod
from ngsim_assets.highway.score import FULL, QUICK, Plan, Score, conditions, score, selected
from ngsim_assets.highway.scoring.page import page
from ngsim_assets.highway.scoring.targets import described
from ngsim_assets.highway.scoring.trial import RAW, Conditions
from ngsim_assets.highway.simulate import CannotSimulate, Scenario, simulate

PLAN = Plan(
    conditions(["us-101"], ["free"], ["none", "ngsim"], (0.0, 0.05), faulty_noise=["ngsim"]),
    seeds=(101, 102),
    minutes=0.3,
    methods=("robust_whittaker", "moving_average"),
)


@pytest.fixture(scope="module")
def measured() -> Score:
    return score(PLAN)


def test_every_method_stands_beside_raw_in_every_scenario(measured: Score) -> None:
    keys = measured.accuracy.select("noise", "faults", "method").rows()
    assert keys == [
        (noise, faults, method)
        for noise, faults in (("none", 0.0), ("ngsim", 0.0), ("ngsim", 0.05))
        for method in (RAW, *PLAN.methods)
    ]
    raw = measured.accuracy.filter(pl.col("method") == RAW)
    assert (raw["speed_ratio"] == 1.0).all()
    cleaned = measured.accuracy.filter(method="robust_whittaker", noise="ngsim")
    assert (cleaned["speed_ratio"] < 0.6).all()
    assert (cleaned["acceleration_ratio"] < 0.2).all()
    assert (cleaned["jerk_share"] < 0.001).all()
    # raw and cleaned are compared on the same rows
    points = measured.accuracy.group_by("noise", "faults").agg(pl.col("position_points").n_unique())
    assert (points["position_points"] == 1).all()
    assert (measured.accuracy.filter(faults=0.0)["coverage"] == 1.0).all()


def test_detection_stands_beside(measured: Score) -> None:
    assert set(measured.recall["faults"]) == {0.05}
    assert measured.recall["recall"].min() > 0.8  # type: ignore[operator]
    assert measured.recall["fault"].n_unique() > 20
    assert measured.alarms["sound"].sum() > 0
    assert (measured.alarms["share"] <= 0.001).all()
    assert len(measured.verdicts) == 8


def test_neither_threads_nor_the_order_of_scenarios_change_a_figure(measured: Score) -> None:
    turned = replace(PLAN, conditions=PLAN.conditions[::-1])
    again = score(turned, workers=1)
    keys = ["highway", "congestion", "noise", "faults"]
    for table, by in (("accuracy", "method"), ("recall", "fault")):
        one, other = getattr(measured, table), getattr(again, table)
        assert_frame_equal(one.sort(*keys, by), other.sort(*keys, by), check_exact=True)


def test_progress_counts_every_recording() -> None:
    seen: list[tuple[int, int]] = []
    small = replace(PLAN, conditions=PLAN.conditions[:1], minutes=0.05)
    score(small, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_a_page_shows_it_all(measured: Score) -> None:
    text = page(measured, "ngsim score --full --markdown")
    for heading in ("Targets", "Every method", "Worst cases", "Faults caught", "False alarms"):
        assert f"## {heading}" in text
    assert "us-101 free ngsim 5 %" in text
    assert "101, 102" in text
    widths = {
        block.splitlines()[0].count("|") - line.count("|")
        for block in text.split("\n\n")
        if block.startswith("|")
        for line in block.splitlines()
    }
    assert widths == {0}


def test_the_published_page_is_of_the_full_score() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "ACCURACY.md").read_text()
    for method in METHODS:
        assert f" {method} |" in text
    for each in FULL.conditions:
        assert f"| {described(vars(each))} |" in text
    assert f"{FULL.trials} recordings of {FULL.minutes:g} min" in text


def test_plans_know_what_can_be_simulated() -> None:
    assert QUICK.trials < FULL.trials
    assert QUICK.methods == tuple(METHODS)
    with pytest.raises(UnknownMethod, match="magic"):
        replace(QUICK, methods=("magic",))
    with pytest.raises(CannotSimulate, match="loud"):
        Plan((Conditions("us-101", "free", "loud"),))


def test_what_is_asked_for_is_measured_planned_or_not() -> None:
    planned = QUICK.conditions
    assert selected(planned) == planned
    white = selected(planned, noise=["white"], congestion=["free"])
    assert white == (Conditions("us-101", "free", "white"),)
    faulty = selected(planned, noise=["white"], congestion=["free"], faults=[0.02])
    assert faulty == (Conditions("us-101", "free", "white", 0.02),)
    elsewhere = selected(planned, highways=["i-80"], noise=["ngsim"], congestion=["free"])
    assert {each.highway for each in elsewhere} == {"i-80"}


# the command


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["ngsim", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


SMALL = ("score", "--noise", "ngsim", "--congestion", "free", "--fault-rate", "0", "--seeds", "101")


def test_the_command_ends_well_where_targets_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(*SMALL, "--minutes", "0.2", "--json", capsys=capsys)
    document = json.loads(out)
    assert code == 0, err
    assert [row["method"] for row in document["accuracy"]] == [RAW, *METHODS]
    assert {target["passed"] for target in document["targets"]} == {True, None}


def test_the_command_fails_where_a_target_is_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, measured: Score
) -> None:
    worse = measured.accuracy.with_columns(
        pl.when(method="robust_whittaker").then(9.0).otherwise("speed_rmse").alias("speed_rmse")
    )
    failing = replace(measured, accuracy=worse)

    def known(*_: object, **__: object) -> Score:
        return failing

    monkeypatch.setattr(scoring, "score", known)
    code, out, err = run(*SMALL, capsys=capsys)
    assert code == 1
    assert "best or tied on speed" in err
    assert "NO" in out


def test_a_reconstruction_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = simulate(Scenario(minutes=0.1, congestion="free")).truth
    truth.write_parquet(tmp_path / "truth.parquet")
    mine = truth.with_columns(pl.col("y_position") + 0.5).rename({"frame_id": "frame"})
    mine.select("vehicle_id", "frame", "y_position", "speed").write_csv(tmp_path / "mine.csv")
    files = ("--truth", str(tmp_path / "truth.parquet"), "--result", str(tmp_path / "mine.csv"))
    code, out, _ = run("score", *files, "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["position_rmse"] == pytest.approx(0.5)
    assert json.loads(out)["speed_rmse"] == 0.0
    code, out, _ = run("score", *files, capsys=capsys)
    assert code == 0
    assert "acceleration" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--truth", "a.parquet"), "--truth and --result go together"),
        (("--truth", "a.parquet", "--result", "b.parquet"), "a.parquet: is not there"),
        (("--truth", "a.txt", "--result", "b.csv"), "a.txt: is of no known kind"),
        (("--seeds", "one"), "--seeds 'one' is not a list of numbers"),
        (("--methods", "magic"), "no cleaning method 'magic'"),
        (("--noise", "loud"), "cannot simulate noise 'loud'"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run("score", *arguments, capsys=capsys)
    assert code in {1, 2}
    assert says in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_a_damaged_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "truth.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    code, _, err = run("score", "--truth", str(path), "--result", str(path), capsys=capsys)
    assert code == 2
    assert "truth.parquet" in err
