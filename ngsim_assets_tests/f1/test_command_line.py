"""`ngsim f1` by its results, exit codes and what it says."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets import session_runs
from ngsim_assets.f1 import commands_historical, overview, plots, self_test
from ngsim_assets.f1.commands_historical import NotAskedFor, asked_for, scenarios
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.health import read_health
from ngsim_assets.f1.model import F1_LAPS, F1_WEATHER
from ngsim_assets.f1.platform import identity, open_f1
from ngsim_assets.f1.simulate import Scenario, SimulatedSession
from ngsim_assets.f1.taking_in import take_in
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.parquet import Provenance
from ngsim_assets_tests.command import Ngsim

KEY = self_test.SCENARIO.session


@dataclass(frozen=True)
class Home:
    """A data folder that holds the race of the self-test, built by the asset graph."""

    settings: Settings
    race: SimulatedSession
    files: Path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("f1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NGSIM_DATA", str(folder / "data"))
        patch.delenv("DAGSTER_HOME", raising=False)
        # pictures take half of the time of a build, and have tests of their own
        patch.setattr(plots, "session_figures", lambda scans: ())
        settings = load_settings()
        race = self_test.write_race(folder / "source")
        files = folder / "source" / str(KEY)
        assert all(taken.taken for taken in take_in(settings, [files]))
        built = session_runs.build(settings, [KEY])
        assert not built.failed
        assert built.assets.keys() == {KEY}
        yield Home(settings, race, files)


@pytest.fixture
def f1(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ngsim:
    """The command on that folder."""
    return Ngsim(home.settings.data, monkeypatch, capsys)


def test_every_command_has_help_with_an_example(f1: Ngsim) -> None:
    out, _ = f1("f1", "--help")
    commands = (
        "ingest build rollback historical live health test sessions report export versions verify"
    )
    for command in commands.split():
        assert command in out
        assert "Example: ngsim f1" in f1("f1", command, "--help")[0]


def test_what_was_taken_in_is_told_and_was_built_whole(f1: Ngsim, home: Home) -> None:
    platform = open_f1(home.settings)
    findings = [
        *self_test.held_against(platform, home.race),
        self_test.report_held(platform, home.race),
    ]
    assert [one for one in findings if not one.held] == []
    (told,) = json.loads(f1("f1", "sessions", "--check", "--json")[0])
    assert told["session"] == str(KEY)
    assert told["rows"]["f1_laps"] == home.race.laps.height
    assert told["score"] > 50
    assert told["up_to_date"]
    assert str(KEY) in f1("f1", "sessions")[0]
    (again,) = json.loads(f1("f1", "ingest", home.files, "--json")[0])["files"]
    assert again["status"] == "unchanged"
    assert "1 of 1 sessions are up to date" in f1("f1", "ingest", home.files)[1]
    assert "all is well" in f1("f1", "health")[1]
    assert "as they were written" in f1("f1", "verify", KEY)[1]
    out, err = f1("f1", "report", KEY)
    assert "racing_laps_timed" in out
    assert str(home.settings.reports / "f1" / str(KEY) / "report.html") in err


def test_tables_come_out_as_files_and_on_standard_output(
    f1: Ngsim, home: Home, tmp_path: Path
) -> None:
    laps = home.race.laps.height
    csv, _ = f1("f1", "export", KEY, "--table", "f1_laps")
    assert len(csv.splitlines()) == 1 + laps
    told = f1(
        "f1", "export", KEY, "--table", "laps", "--format", "json", "--output", tmp_path / "a"
    )
    assert f"{laps} rows" in told[1]
    assert len(json.loads((tmp_path / "a").read_bytes())) == laps
    f1("f1", "export", KEY, "--format", "json", "--output", tmp_path / "all")
    assert len(list((tmp_path / "all").glob("f1_*.json"))) == len(overview.TABLES)


def test_everything_in_the_lake_is_asked_and_kept_together(f1: Ngsim, home: Home) -> None:
    counted = "SELECT count(*) AS laps FROM f1_laps WHERE simulated"
    assert json.loads(f1("query", counted, "--json")[0]) == [{"laps": home.race.laps.height}]
    numbers = json.loads(f1("versions", "--table", "f1_laps", "--json")[0])
    assert numbers[0]["rows"] == home.race.laps.height
    assert "f1_laps" in f1("f1", "versions", KEY)[0]
    assert "as it was written" in f1("verify", "--table", "f1_laps")[1]
    from ngsim_assets.definitions import defs

    platform = (defs.resources or {})["platform"].open("test")
    assert {table.name for table in platform.others} >= {"f1_laps", "f1_quality_metrics"}


def test_a_self_test_that_does_not_hold_exits_with_one(
    ngsim: Ngsim, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = self_test.Finding("laps", "71", "71", held=True)
    wrong = self_test.Finding("live: laps", "71", "70", held=False)
    monkeypatch.setattr("ngsim_assets.f1.commands_test.prove", lambda *_: [held, wrong])
    out, err = ngsim("f1", "test", code=1)
    assert "live: laps" in out
    assert "1 of 2 comparisons did not hold" in err
    monkeypatch.setattr("ngsim_assets.f1.commands_test.prove", lambda *_: [held])
    assert "everything held" in ngsim("f1", "test")[1]
    assert os.environ["NGSIM_DATA"] == str(ngsim.data)
    assert not ngsim.data.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint", "code"),
    [
        (["report", "miami"], "write it 2025-05-03_miami_sprint", 2),
        (["report", "2026-05-24_simulated-monaco_rac"], f"did you mean {KEY}?", 1),
        (["export", str(KEY), "--table", "lapse"], "tables: f1_messages, f1_laps", 2),
        (["ingest", "absent.txt"], "there is no absent.txt", 2),
        (["ingest", "--session", str(KEY)], "name them", 2),
        (["build", "2020-01-01_nowhere_race"], "no session 2020-01-01_nowhere_race", 1),
        (["live"], "NGSIM_F1_LIVE=true", 2),
        (["live", "--replay", "absent.txt"], "no such file or folder", 2),
        (["live", "--replay", ".", "--speed", "fast"], "20, or max", 2),
        (["historical", "1850"], "there are seasons from 1950", 2),
        (["historical", "monaco"], "2025-05-03_miami_sprint", 2),
        (["rollback", str(KEY)], "--to @-1", 2),
        (["rollback", str(KEY), "--to", "@-1"], "built once and not changed since", 2),
        (["rollback", str(KEY), "@-1", "--table", "f1_telemetry_resampled"], "no table", 2),
        (["versions", str(KEY), "--table", "points"], "no table points of sessions", 2),
    ],
)
def test_mistakes_get_one_line_with_the_fix(
    f1: Ngsim, arguments: list[str], complaint: str, code: int
) -> None:
    _, err = f1("f1", *arguments, code=code)
    assert complaint in " ".join(err.split())


def test_a_folder_without_feeds_is_refused_and_the_others_are_taken_in(
    f1: Ngsim, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text("nothing of a feed")
    _, err = f1("f1", "ingest", tmp_path, home.files, code=1)
    assert "it holds no file of a feed" in err
    assert f"{KEY}, unchanged" in err


def test_other_content_is_built_and_rolled_back_and_damage_is_mended(
    f1: Ngsim, home: Home, tmp_path: Path
) -> None:
    cut = tmp_path / str(KEY)
    cut.mkdir()
    for file in home.files.glob("*.jsonStream"):
        (cut / file.name).write_bytes(file.read_bytes())
    with (cut / "RaceControlMessages.jsonStream").open("ab") as feed:
        feed.write(b"nonsense\r\n")
    told = json.loads(f1("f1", "ingest", cut, "--json")[0])
    assert told["built"].keys() == {str(KEY)}
    (session,) = told["sessions"]
    assert session["rows"]["f1_quarantine"] == 1
    out, err = f1("f1", "rollback", KEY, "--to", "@-1")
    assert "f1_quarantine" in out
    assert "held until something new comes" in err
    (session,) = json.loads(f1("f1", "sessions", "--check", "--json")[0])
    assert session["rows"]["f1_quarantine"] == 0
    assert session["rows"]["f1_laps"] == home.race.laps.height
    assert "1 of 1 sessions are up to date" in f1("f1", "build")[1]
    lake = open_f1(home.settings).lake
    file = lake.root / "f1_weather" / lake.files(F1_WEATHER, identity(KEY))[0].path
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-9] + b"nonsense!")
    out, _ = f1("f1", "verify", KEY, code=1)
    mend = out.split("mend it: ")[1].splitlines()[0].rpartition("ngsim ")[2]
    assert mend == f"f1 build {KEY} --force"
    (session,) = json.loads(f1(*mend.split(), "--json")[0])["sessions"]
    assert session["rows"]["f1_quarantine"] == 1  # what was rolled back is held no more
    assert session["up_to_date"]
    assert "as they were written" in f1("f1", "verify", KEY)[1]


def test_a_live_session_is_stopped_by_ctrl_c_and_can_be_gone_on_with(
    ngsim: Ngsim, home: Home
) -> None:
    folder = ngsim.data / "f1" / "live" / str(KEY)

    def press() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(file.stat().st_size for file in folder.glob("replay-*.txt")):
                break
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    wanted = ("f1", "live", "--replay", home.files, "--speed", "100", "--json")
    out, err = ngsim(*wanted, code=130)
    pressing.join()
    assert f"go on with: ngsim f1 live --replay '{home.files}' --speed 100" in err
    assert json.loads(out)["outcome"] == "stopped"
    (stopped,) = read_health(load_settings())
    assert not stopped.alive
    (listed,) = json.loads(ngsim("f1", "health", "--json")[0])["live"]
    assert listed["lines"] == json.loads(out)["health"]["lines"] > 0


def test_what_is_asked_of_the_past_is_understood() -> None:
    asked = asked_for(["2024", "2025-05-03_miami_sprint", "2020/a/b/"])
    assert asked.years == [2024]
    assert asked.sessions == [SessionKey.parse("2025-05-03_miami_sprint")]
    assert asked.paths == ["2020/a/b"]
    for text in ("1850", "monaco", "20x4"):
        with pytest.raises(NotAskedFor):
            asked_for([text])
    races = scenarios([2025], [])
    assert len({race.session for race in races}) == len(races) == 4
    (race,) = scenarios([2026], [KEY])
    assert race.session == KEY
    with pytest.raises(NotAskedFor):
        scenarios([2025], [SessionKey.parse("2025-05-03_miami_sprint")])


def test_simulated_races_of_the_past_are_fetched_once(
    ngsim: Ngsim, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Scenario("spa", laps=2, cars=2, seed=3)
    monkeypatch.setattr(commands_historical, "scenarios", lambda *_: [short])
    wanted = ("f1", "historical", short.session, "--source", "simulated", "--no-build", "--json")
    told = json.loads(ngsim(*wanted)[0])
    (session,) = told["sessions"]
    assert not session["up_to_date"]
    assert session["delivered"]
    assert told["not_available"] == []
    again = json.loads(ngsim(*wanted)[0])
    assert {fetched["status"] for fetched in again["fetched"]} == {"unchanged"}


def test_one_lap_that_is_a_millisecond_off_is_found(home: Home) -> None:
    platform = open_f1(home.settings)
    laps = platform.lake.scan(F1_LAPS, identity(KEY)).collect()
    wrong = laps.with_columns(
        pl.when(pl.int_range(pl.len()) == 3)
        .then(pl.col("lap_time_ms") + 1)
        .otherwise(pl.col("lap_time_ms"))
        .cast(pl.Int32)
        .alias("lap_time_ms")
    )
    version = platform.lake.history(F1_LAPS)[0].version
    held = self_test.held_against(platform, home.race)
    before = {one.what for one in held if not one.held}
    assert "times of laps and sectors, ms" not in before
    platform.lake.replace(F1_LAPS, identity(KEY), [wrong], Provenance())
    try:
        found = {one.what: one for one in self_test.held_against(platform, home.race)}
        assert found["times of laps and sectors, ms"].found == "1 rows differ"
        assert {what for what, one in found.items() if not one.held} - before == {
            "times of laps and sectors, ms"
        }
        platform.lake.replace(F1_LAPS, identity(KEY), [wrong.head(5)], Provenance())
        found = {one.what: one for one in self_test.held_against(platform, home.race)}
        assert not found["laps"].held
    finally:
        platform.lake.restore(F1_LAPS, identity(KEY), version)
