"""The `ngsim` command as a user meets it: answers, one-line errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets import __version__
from ngsim_assets.highway.questions import NoSuchRecording
from ngsim_assets.highway.simulate import Scenario, simulate_to
from ngsim_assets_tests.command import Ngsim

KEY = "us-101|2005-06-15T0750"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "us101.csv"
    simulate_to(path, Scenario(minutes=0.2, seed=5), layout="export", faults=0.01)
    return path


def test_ingest_builds_every_table_and_questions_are_answered(
    ngsim: Ngsim, simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("NGSIM_LOG", "json")
        out, err = ngsim("ingest", simulated, "--json")
    told = json.loads(out)
    (recording,) = told["recordings"]
    assert recording["recording"] == KEY
    assert recording["raw"] == recording["validated"] + recording["quarantined"]
    _tells_machines_in_lines(err, recording["raw"])

    out, err = ngsim("ingest", simulated)
    assert "up to date" in err

    out, _ = ngsim("query", "SELECT count(*) AS n FROM cleaned_trajectories", "--json")
    assert json.loads(out) == [{"n": recording["cleaned"]}]

    vehicle = pl.read_parquet(
        next((tmp_path / "data/lake/cleaned_trajectories").rglob("*.parquet"))
    )["vehicle_id"][0]
    ngsim("vehicle", KEY, vehicle, "--output", tmp_path / "one.parquet")
    one = pl.read_parquet(tmp_path / "one.parquet")
    assert one["vehicle_id"].unique().to_list() == [vehicle]
    assert one["frame"].is_sorted()
    flagged = tmp_path / "new" / "flagged.csv"
    ngsim("vehicle", KEY, vehicle, "--table", "validated_points", "--output", flagged)
    assert "flags" in pl.read_csv(flagged).columns
    _, err = ngsim("vehicle", KEY, vehicle, "--output", tmp_path / "one.xlsx", code=2)
    assert "end the name in .csv or .parquet" in err
    two = "SELECT ['gap', 'frozen'] AS flags, 1 AS n"
    assert ngsim("query", two, "--format", "csv")[0] == "flags,n\ngap;frozen,1\n"

    out, _ = ngsim("report", KEY, "--json")
    assert json.loads(out)["partition"]["recording"] == "2005-06-15T0750"
    out, _ = ngsim("status", "--json")
    assert json.loads(out)["recordings"][0]["stale"] == []
    assert (tmp_path / "data" / "ngsim.duckdb").exists()

    monkeypatch.setenv("NGSIM_GAP_LIMIT", "0.1")
    ngsim("ingest", simulated)
    out, _ = ngsim("report", KEY, "--compare", "@-1")
    assert "gap_limit" in out
    assert "quality_score" in out
    out, _ = ngsim("report", KEY, "--compare", "@-1", "--json")
    compared = json.loads(out)
    assert {"cleaning: gap_limit"} <= {part["name"] for part in compared["differences"]}
    page = tmp_path / "compared.html"
    ngsim("report", KEY, "--compare", "@-1", "--html", page)
    pictures = page.read_text().count("data:image/png;base64,")
    assert pictures > 2
    assert pictures % 2 == 0
    _, err = ngsim("report", KEY, "--compare", "@-7", code=1)
    assert "there are, newest first: @" in err
    _, err = ngsim("report", KEY, "--compare", "us-101|2005-06-15T0805", code=1)
    assert f"did you mean {KEY}" in err
    ngsim("report", KEY, "--html", tmp_path / "report.html")
    assert "Score" in (tmp_path / "report.html").read_text()


def _tells_machines_in_lines(err: str, rows: int) -> None:
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    steps = {line["step"]: line for line in lines if line["event"] == "done"}
    assert steps.keys() >= {"raw_trajectories", "validation", "quality_report", "corpus_summary"}
    raw = steps["raw_trajectories"]
    assert raw["partition"] == KEY
    assert raw["highway"] == "us-101"
    assert raw["rows"] == {"raw_trajectories": rows}
    assert len({line["run"] for line in steps.values() if "partition" in line}) == 1


def test_check_stores_nothing(ngsim: Ngsim, simulated: Path, tmp_path: Path) -> None:
    out, _ = ngsim("check", simulated, "--json")
    (recording,) = json.loads(out)["recordings"]
    assert recording["rows"] == recording["passed"] + recording["refused"]
    assert sum(recording["reasons"].values()) >= recording["refused"] > 0
    assert not (tmp_path / "data").exists()


def test_the_real_excerpts_pass_to_the_row(ngsim: Ngsim, real_data: Path) -> None:
    """Every delivered row of three sites: noisy, clipped, partly without columns, none at fault."""
    expected = {
        "peachtree_socrata_export_10000_rows.csv": {
            "peachtree|2006-11-08T1245": 7619,
            "peachtree|2006-11-08T1600": 2381,
        },
        "us101_i80_excerpt_feet.csv": {
            "i-80|2005-04-13T1600": 2491,
            "i-80|2005-04-13T1700": 1323,
            "us-101|2005-06-15T0750": 1804,
            "us-101|2005-06-15T0805": 2441,
            "us-101|2005-06-15T0820": 2537,
        },
    }
    for name, recordings in expected.items():
        out, _ = ngsim("check", real_data / "ngsim" / name, "--json")
        told = json.loads(out)["recordings"]
        assert {recording["recording"]: recording["passed"] for recording in told} == recordings
        assert all(recording["refused"] == 0 for recording in told)


def test_several_processes_build_side_by_side_from_nothing(simulated: Path, tmp_path: Path) -> None:
    """A fresh data folder and Dagster instance, two recordings, one of them twice."""
    other = tmp_path / "i80.txt"
    simulate_to(other, Scenario(highway_id="i-80", minutes=0.1, seed=6))
    environment = {**os.environ, "NGSIM_DATA": str(tmp_path / "data")}
    environment.pop("DAGSTER_HOME", None)
    ngsim = Path(sys.executable).parent / "ngsim"
    running = [
        subprocess.Popen(
            [ngsim, "ingest", path, "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in (simulated, other, simulated)
    ]
    for process in running:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    told = subprocess.run(
        [ngsim, "status", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    recordings = json.loads(told.stdout)["recordings"]
    assert [recording["recording"] for recording in recordings] == ["i-80|2005-04-13T1600", KEY]
    for recording in recordings:
        assert recording["stale"] == []
        assert recording["raw"] == recording["validated"] + recording["quarantined"] > 0


def test_a_bad_file_does_not_stop_the_others(ngsim: Ngsim, simulated: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("lane closures on Tuesday\n" * 30)
    (tmp_path / "empty.csv").touch()
    out, err = ngsim("register", tmp_path / "notes.txt", simulated, tmp_path / "empty.csv", code=1)
    assert out.split() == [KEY]
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert "notes.txt" in errors[0]
    assert "empty.csv" in errors[1]


@pytest.mark.parametrize(
    ("arguments", "expected", "code"),
    [
        (["ingest", "absent.csv"], "absent.csv", 1),
        (["report", "us-101|1999-01-01T0000"], "no recording us-101|1999-01-01T0000", 1),
        (["query", "SELECT * FROM nothing"], "nothing", 2),
        (["simulate", "x.csv", "--highway", "route-66"], "route-66", 2),
        (["simulate", "x.csv", "--format", "xlsx"], "xlsx", 2),
        (["no-such-command"], "no-such-command", 2),
    ],
)
def test_mistakes_get_one_line_and_an_exit_code(
    ngsim: Ngsim, arguments: list[str], expected: str, code: int
) -> None:
    _, err = ngsim(*arguments, code=code)
    assert expected in err


def test_a_wrong_setting_is_named(ngsim: Ngsim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_WORKERS", "many")
    _, err = ngsim("status", code=2)
    assert "NGSIM_WORKERS" in err


def test_a_mistyped_key_is_told_what_it_is_like() -> None:
    known = [f"us-101|2005-06-15T{hour:02}{minute}" for hour in range(24) for minute in (20, 50)]
    assert "did you mean us-101|2005-06-15T0750" in str(
        NoSuchRecording("US101|2005-06-15T0750", known)
    )
    assert "and 43 more" in str(NoSuchRecording("Lankershim", known))


def test_the_data_folder_is_made_wherever_the_instance_is(
    ngsim: Ngsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    ngsim("init")
    assert (ngsim.data / "incoming").is_dir()
    assert "no recordings" in ngsim("build")[1]


def test_the_version_is_told(ngsim: Ngsim) -> None:
    out, _ = ngsim("--version")
    assert out.strip() == __version__


def test_every_command_has_help_with_an_example(ngsim: Ngsim) -> None:
    out, _ = ngsim("--help")
    commands = [
        "demo", "simulate", "register", "ingest", "build", "rollback", "check", "report", "query",
        "vehicle", "status", "verify",
    ]  # fmt: skip
    for command in commands:
        assert command in out
        out_of_command, _ = ngsim(command, "--help")
        assert "Example" in out_of_command


def test_dagster_materializes_what_was_registered(simulated: Path, tmp_path: Path) -> None:
    """The two commands of the README, as processes of their own."""
    environment = {
        **os.environ,
        "NGSIM_DATA": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    scripts = Path(sys.executable).parent
    registered = subprocess.run(
        [scripts / "ngsim", "register", simulated],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert registered.stdout.split() == [KEY]
    built = subprocess.run(
        [
            *[scripts / "dagster", "asset", "materialize", "-m", "ngsim_assets.definitions"],
            *["--select", "raw_trajectories,validated_points,quarantine", "--partition", KEY],
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    assert list((tmp_path / "data/lake/validated_points").rglob("*.parquet"))
