"""Commands that bring back and mend: rollback, verify, build, and what status says of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets import runs
from ngsim_assets.automation import checks
from ngsim_assets.highway import model, overview, rollback, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.simulate import Scenario, simulate_to
from ngsim_assets.quality.rules import Rule
from ngsim_assets.settings import load_settings
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway import whole_path

KEY = PartitionKey("us-101", "2005-06-15T0750")
OTHER_GAP = "0.1"

pytestmark = pytest.mark.usefixtures("few_pictures")


@pytest.fixture(scope="module")
def built_twice(few_pictures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a recording that was built with two different gap limits."""
    folder = tmp_path_factory.mktemp("built")
    data, file = folder / "data", folder / "us101.csv"
    simulate_to(file, Scenario(minutes=0.1, seed=5), layout="export", faults=0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        _, keys = whole_path.taken_in(data, file)
        assert keys == [KEY]
        for gap in (2.0, float(OTHER_GAP)):
            settings = load_settings(data=data, gap_limit=gap)
            patch.setenv("NGSIM_DATA", str(data))
            patch.setenv("NGSIM_GAP_LIMIT", str(gap))
            with runs.open_instance(settings) as instance:
                runs.register(settings, instance)
                assert not runs.build(settings, instance, keys).failed
            patch.delenv("DAGSTER_HOME", raising=False)
    return data


@pytest.fixture
def data(built_twice: Path, ngsim: Ngsim) -> Path:
    """A copy of it, which the command works on."""
    shutil.copytree(built_twice, ngsim.data)
    return ngsim.data


def _values(data: Path) -> dict[str, pl.DataFrame]:
    return whole_path.values(stages.open_platform(load_settings(data=data)), KEY)


def _recording(ngsim: Ngsim) -> dict[str, object]:
    (told,) = json.loads(ngsim("status", "--json")[0])["recordings"]
    return told


def _assert_report_and_summary_agree(data: Path, ngsim: Ngsim) -> None:
    platform = stages.open_platform(load_settings(data=data))
    metrics = platform.lake.current(model.QUALITY_METRICS, stages.identity(KEY))
    report = overview.stored_report(platform, KEY)
    assert metrics is not None
    assert report.origin.version == metrics.version
    (summary,) = platform.lake.scan(model.CORPUS_SUMMARY).collect().to_dicts()
    assert summary["score"] == next(r.score for r in report.ratings if r.stage == "cleaned")
    query = "SELECT count(*) AS n FROM cleaned_trajectories"
    assert json.loads(ngsim("query", query, "--json")[0]) == [{"n": summary["points_cleaned"]}]


def test_what_a_check_refused_is_built_again_until_it_passes(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    refuses = Rule("refused", "reject", pl.col("highway_id") == KEY.highway_id, "every row", "")
    with monkeypatch.context() as patch:
        patch.setattr(checks, "constraint_rules", lambda _: [refuses])
        for arguments in (["--force"], []):  # its rows are stored, but it is not done with
            _, told = ngsim("build", KEY, *arguments, code=1)
            assert "raw_trajectories_keeps_contract: refused: " in told
        (failed,) = json.loads(ngsim("status", "--json")[0])["failed_builds"]
        assert failed["attempts"] == 2
    assert "up to date" not in ngsim("build", KEY)[1]
    assert json.loads(ngsim("status", "--json")[0])["failed_builds"] == []
    assert "1 of 1 recordings are up to date" in ngsim("build", KEY)[1]


def test_a_recording_goes_back_and_stays_and_comes_forward_again(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    later = _values(data)
    before = ngsim("rollback", KEY, "--to", "2001-01-01", "--dry-run", code=2)
    assert "has no state as of 2001-01-01" in before[1]
    told = json.loads(ngsim("rollback", KEY, "--to", "@-1", "--dry-run", "--json")[0])
    assert not told["done"]
    assert _values(data).keys() == later.keys()
    for name, rows in _values(data).items():
        assert_frame_equal(rows, later[name])

    told = json.loads(ngsim("rollback", KEY, "--to", "@-1", "--json")[0])
    assert told["done"]
    cleaned = next(row for row in told["tables"] if row["table"] == "cleaned_trajectories")
    assert cleaned["rows after"] > cleaned["rows before"]
    earlier = _values(data)
    assert earlier["cleaned_trajectories"].height == cleaned["rows after"]
    assert "imputed" in set(earlier["cleaned_trajectories"]["state"])
    _assert_report_and_summary_agree(data, ngsim)

    # held: neither a build nor the same file again changes anything
    recording = _recording(ngsim)
    assert recording["stale"] == []
    assert "cleaned_trajectories" in recording["held"]
    assert "up to date" in ngsim("build")[1]
    for name, rows in _values(data).items():
        assert_frame_equal(rows, earlier[name])

    # a rollback is a version: going back from it gives the later state
    ngsim("rollback", KEY, "--to", "@-1")
    for name, rows in _values(data).items():
        assert_frame_equal(rows, later[name])
    _assert_report_and_summary_agree(data, ngsim)
    assert _recording(ngsim)["stale"] == []

    # other parameters than it is held against end it
    monkeypatch.setenv("NGSIM_GAP_LIMIT", "2.0")
    assert "cleaned_trajectories" in _recording(ngsim)["stale"]


def test_what_hangs_on_one_table_is_rebuilt_from_it(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    table = ("--table", "cleaned_trajectories")
    ngsim("rollback", KEY, *table, "--to", "v1.1.0", "--no-build")
    recording = _recording(ngsim)
    assert recording["held"] == ["cleaned_trajectories"]
    assert recording["stale"] == ["trajectory_segments", "traffic_state", "quality_metrics"]
    told = json.loads(ngsim("build", "--json")[0])
    assert told["built"] == {str(KEY): recording["stale"]}
    assert _recording(ngsim)["stale"] == []
    _assert_report_and_summary_agree(data, ngsim)

    with dg.DagsterInstance.from_config(str(data / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("cleaned_trajectories"))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.description == "rolled back"
        below = instance.get_latest_materialization_event(dg.AssetKey("traffic_state"))
        assert below is not None
        assert below.timestamp > event.timestamp


def test_a_rollback_that_was_killed_is_finished_by_the_same_command(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    settings = load_settings()
    platform = stages.open_platform(settings)
    plan = rollback.plan(platform, KEY, "@-1")

    def die_before_cleaning(asset: str) -> None:
        if asset == "cleaned_trajectories":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), rollback.begun(settings, plan) as begun:
        rollback.carry_out(platform, KEY, begun, die_before_cleaning)
    told = json.loads(ngsim("status", "--json")[0])
    assert [left["wanted"] for left in told["unfinished_rollbacks"]] == ["@-1"]
    assert "stopped half-way" in ngsim("status")[1]
    assert "finish it first" in ngsim("rollback", KEY, "--to", "@-2", code=1)[1]

    ngsim("rollback", KEY, "--to", "@-1")
    assert json.loads(ngsim("status", "--json")[0])["unfinished_rollbacks"] == []
    assert _recording(ngsim)["stale"] == []
    states = _values(data)["cleaned_trajectories"]["state"]
    assert "imputed" in set(states)
    _assert_report_and_summary_agree(data, ngsim)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "@-5"], "has no state @-5"),
        (["--to", "yesterday"], "names no version"),
        (["--to", "2004-01-01"], "has no state as of 2004-01-01"),
        (["--to", "v9.9.9", "--table", "traffic_state"], "v9.9.9"),
        (["--to", "@-1", "--table", "corpus_summary"], "corpus_summary"),
        ([], "--to"),
    ],
)
def test_states_that_there_are_not_are_refused(
    ngsim: Ngsim, data: Path, arguments: list[str], said: str
) -> None:
    _, err = ngsim("rollback", KEY, *arguments, code=2)
    assert said in err
    assert data.exists()


def test_a_state_that_is_not_whole_any_more_is_refused_as_a_whole(ngsim: Ngsim, data: Path) -> None:
    platform = stages.open_platform(load_settings())
    old = platform.lake.files(model.TRAFFIC_STATE, stages.identity(KEY), version=1)
    (data / "lake" / "traffic_state" / old[0].path).unlink()
    before = _values(data)
    _, err = ngsim("rollback", KEY, "--to", "@-1", code=1)
    assert "nothing was changed" in err
    assert "traffic_state" in err
    for name, rows in _values(data).items():
        assert_frame_equal(rows, before[name])


def _file_of(data: Path, table: str) -> Path:
    lake = stages.open_platform(load_settings(data=data)).lake
    return lake.root / table / lake.files(model.TABLES[table], stages.identity(KEY))[0].path


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_tables_are_named_and_mended(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    before = _values(data)
    deleted, cut, flipped = (
        _file_of(data, name)
        for name in ("cleaned_trajectories", "raw_trajectories", "validated_points")
    )
    deleted.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    _flip(flipped)
    found = json.loads(ngsim("verify", "--json", code=1)[0])["damages"]
    assert {fault["path"] for fault in found} == {str(deleted), str(cut), str(flipped)}
    assert {fault["fix"] for fault in found} == {f"ngsim build '{KEY}' --force"}
    recording = _recording(ngsim)
    assert {entry["table"] for entry in recording["why"]} == {
        "cleaned_trajectories",
        "raw_trajectories",
    }
    ngsim("build", KEY, "--force")
    assert "all is as it was written" in ngsim("verify")[1]
    for name, rows in _values(data).items():
        assert_frame_equal(rows, before[name])


def _damaged_log(data: Path) -> Path:
    *_, last = sorted((data / "lake" / "traffic_state" / "_delta_log").glob("*.json"))
    last.write_bytes(last.read_bytes()[:40])
    return last.parent


def _damaged_summary(data: Path) -> Path:
    (path,) = _newest(data / "lake" / "corpus_summary")
    _flip(path)
    return path


def _newest(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)[-1:]


def _damaged_manifest(data: Path) -> Path:
    (path,) = (data / "landing" / "files").glob("*/manifest.json")
    path.write_text("{")
    return path


def _damaged_part(data: Path) -> Path:
    path, *_ = (data / "landing" / "files").glob("*/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    return path


@pytest.mark.parametrize(
    "damage",
    [_damaged_log, _damaged_summary, _damaged_manifest, _damaged_part],
)
def test_what_verify_says_mends_it(
    ngsim: Ngsim,
    data: Path,
    built_twice: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], Path],
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    path = damage(data)
    (found,) = json.loads(ngsim("verify", "--json", code=1)[0])["damages"]
    assert found["path"].startswith(str(path))
    fix = found["fix"].removeprefix("put the file back from a backup, or: ")
    file = str(built_twice.parent / "us101.csv")
    for command in fix.replace("FILE, the one it was taken in from", file).split("; "):
        if command.startswith("ngsim "):
            ngsim(*(part.strip("'") for part in command.split()[1:]))
        else:
            subprocess.run(command.split(), check=True)
    ngsim("verify")
    assert _recording(ngsim)["stale"] == []


def test_the_incoming_folder_is_taken_in_and_what_does_not_belong_is_told(
    ngsim: Ngsim, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_GAP_LIMIT", OTHER_GAP)
    monkeypatch.setenv("NGSIM_SETTLE", "0")
    before = _recording(ngsim)
    incoming = data / "incoming"
    incoming.mkdir()
    simulate_to(incoming / "other.csv", Scenario(minutes=0.1, seed=6), layout="export")
    (incoming / "notes.txt").write_text("lane closures on Tuesday\n" * 30)
    waiting = json.loads(ngsim("status", "--json")[0])["incoming"]["ready"]
    assert {Path(path).name for path in waiting} == {"other.csv", "notes.txt"}
    out, err = ngsim("ingest", "--json", code=1)
    assert [entry["recording"] for entry in json.loads(out)["recordings"]] == [str(KEY)]
    assert "notes.txt" in err
    assert not (incoming / "notes.txt").exists()
    assert list((data / "rejected").glob("notes*"))

    # rows of another recording under the same key: said, and taken back
    assert "us101.csv, other.csv disagree" in err
    ngsim("rollback", KEY, "--to", "@-1")
    recording = _recording(ngsim)
    assert recording["stale"] == []
    assert recording["raw"] == before["raw"]
    assert "raw_trajectories" in recording["held"]


def test_only_known_recordings_are_built(ngsim: Ngsim) -> None:
    assert "no recording i-80|2005-04-13T1600" in ngsim("build", "i-80|2005-04-13T1600", code=1)[1]
    ngsim("build")
