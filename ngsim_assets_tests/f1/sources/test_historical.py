"""Seasons by FastF1: what is complete is not asked again, what is not there is no failure."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.transfer.errors import ServerFailed
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.simulate import Scenario, simulate
from ngsim_assets.f1.sources import historical
from ngsim_assets.f1.sources.errors import (
    ArchiveNotForFastF1,
    FastF1Failed,
    FastF1Limited,
    FastF1Missing,
    NotASeason,
    SeasonNotThere,
)
from ngsim_assets.f1.sources.fastf1_process import FastF1Process
from ngsim_assets.f1.sources.historical import HistoricalIngestor
from ngsim_assets.f1.sources.historical_file import HistoricalFile, tables
from ngsim_assets.f1.sources.places import Wanted
from ngsim_assets.f1.sources.simulated import path_of, schedule_of, write_archive
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.f1.sources.served import Served, json_answer, run

SPA = Scenario(laps=3, cars=3, seed=5)
MONACO = Scenario(laps=2, cars=2, seed=6, circuit="monaco")
LATER = datetime(2026, 8, 1, tzinfo=UTC)
Make = Callable[[Settings], list[HistoricalIngestor]]


def season(*years: int, now: datetime = LATER) -> Make:
    def make(settings: Settings) -> list[HistoricalIngestor]:
        return [HistoricalIngestor(settings, Wanted(years=years or (2026,)), now=lambda: now)]

    return make


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """A season of two simulated races."""
    write_archive(tmp_path / "tree" / "static", [SPA, MONACO])
    schedule = tmp_path / "tree" / "schedule"
    schedule.mkdir()
    (schedule / "schedule_2026.json").write_text(json.dumps(schedule_of([SPA, MONACO])))
    return Served(tmp_path / "tree" / "static", schedule)


class Reader:
    """In the place of the process of FastF1: says what it is told to, and is counted.

    Attributes:
        says: status by meeting, `read` by default. asked: meetings, in their order.
    """

    says: dict[str, dict[str, object]]
    asked: list[str]
    open: int

    def __init__(self, places: Mapping[str, str]) -> None:
        Reader.open += 1

    async def ask(self, asked: Mapping[str, object], session: str) -> dict[str, object]:
        meeting = str(asked["meeting"])
        Reader.asked.append(meeting)
        laps = pl.DataFrame({"LapNumber": [1.0, 2.0]})
        laps.write_parquet(Path(str(asked["folder"])) / "laps.parquet")
        read: dict[str, object] = {"status": "read", "tables": {"laps": 2}, "missing": ["weather"]}
        return Reader.says.get(meeting, read)

    async def end(self) -> None:
        Reader.open -= 1


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> type[Reader]:
    Reader.says, Reader.asked, Reader.open = {}, [], 0
    monkeypatch.setattr(historical, "FastF1Process", Reader)
    return Reader


def test_a_season_that_is_interrupted_goes_on_where_it_was(
    served: Served, reader: type[Reader], tmp_path: Path
) -> None:
    reader.says = {MONACO.meeting: {"status": "limited", "said": "any API: 500 calls/h"}}
    ((first,),) = run(served, tmp_path / "data", season())
    assert first.status == "partial"
    assert [type(error) for error in first.errors] == [FastF1Limited]
    reader.says, reader.asked = {}, []
    (second,), (third,) = run(served, tmp_path / "data", season(), times=2)
    assert (second.status, third.status) == ("fetched", "unchanged")
    assert reader.asked == [MONACO.meeting], "what is complete is not asked for again"
    assert reader.open == 0, "every process was ended"
    files = [HistoricalFile.read(one.artifacts[-1].path) for one in third.outcomes]
    assert [(file.available, file.missing) for file in files] == [(True, ("weather",))] * 2
    for file, scenario in zip(files, (SPA, MONACO), strict=True):
        assert file.clock is not None
        off = abs(file.clock.start - scenario.feed_start)
        assert off <= timedelta(milliseconds=max(file.clock.precision_ms, 1000))


def test_a_session_that_is_not_there_is_known_and_looked_for_again_after_a_week(
    served: Served, reader: type[Reader], tmp_path: Path
) -> None:
    timing = tmp_path / "tree" / "static" / path_of(MONACO) / "TimingData.jsonStream"
    body = timing.read_bytes()
    timing.unlink()
    (first,), (second,) = run(served, tmp_path / "data", season(), times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    assert reader.asked == [SPA.meeting]
    assert any("does not have its timing" in text for text in first.warnings)
    absent = HistoricalFile.read(first.outcomes[1].artifacts[-1].path)
    assert not absent.available
    assert tables(first.outcomes[1].artifacts) == (absent, {})
    heads = [path for method, path in served.seen if method == "HEAD"]
    assert len(heads) == 2, "the second run asked for neither"
    timing.write_bytes(body)
    soon = datetime.now(UTC) + timedelta(days=8)
    ((later,),) = run(served, tmp_path / "data", season(now=soon))
    assert (later.status, reader.asked) == ("fetched", [SPA.meeting, MONACO.meeting])


def test_an_archive_that_fails_is_no_session_that_is_not_there(
    served: Served, reader: type[Reader], tmp_path: Path
) -> None:
    for scenario in (SPA, MONACO):
        path = f"/static/{path_of(scenario)}/TimingData.jsonStream"
        served.answers[path] = json_answer(b"", status=503)
    ((result,),) = run(served, tmp_path / "data", season(), {"retries": 0})
    assert result.status == "failed"
    assert {type(error) for error in result.errors} == {ServerFailed}
    assert reader.asked == []


def test_a_season_that_is_cancelled_leaves_no_process(
    served: Served, reader: type[Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def never(self: Reader, asked: Mapping[str, object], session: str) -> dict[str, object]:
        begun.set()
        await asyncio.sleep(60)
        return {}

    monkeypatch.setattr(reader, "ask", never)

    async def scene() -> None:
        async with served.serving():
            settings = served.settings(tmp_path / "data")
            pipeline = AsyncETLPipeline(settings)
            running = asyncio.create_task(pipeline.run(season()(settings)))
            await begun.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert pipeline.results[0].status == "cancelled"

    asyncio.run(scene())
    assert reader.open == 0


@pytest.mark.parametrize(
    "said",
    [
        {"status": "failed", "said": "KeyError: 'Time'"},
        {"status": "read", "tables": {"results": 20}, "missing": ["laps"]},
    ],
)
def test_laps_that_fastf1_loses_are_a_failure(
    said: dict[str, object], served: Served, reader: type[Reader], tmp_path: Path
) -> None:
    reader.says = {SPA.meeting: said}
    ((result,),) = run(served, tmp_path / "data", season())
    assert [type(error) for error in result.errors] == [FastF1Failed]
    assert [one.status for one in result.outcomes] == ["failed", "fetched"]
    assert reader.open == 0


def test_sessions_that_are_not_over_are_left_for_later(
    served: Served, reader: type[Reader], tmp_path: Path
) -> None:
    ((result,),) = run(served, tmp_path / "data", season(now=SPA.start))
    assert (result.outcomes, reader.asked) == ((), [])


def test_seasons_without_a_schedule_are_named(served: Served, tmp_path: Path) -> None:
    served.answers["/schedule/schedule_2027.json"] = json_answer(b'{"event_date": {}}')
    (missing,), *_ = run(served, tmp_path / "data", season(1949))
    assert isinstance(missing.source_error, SeasonNotThere)
    (wrong,), *_ = run(served, tmp_path / "data", season(2027))
    assert isinstance(wrong.source_error, NotASeason)


def test_without_fastf1_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(FastF1Missing, match="not installed") as raised:
        HistoricalIngestor(load_settings(), Wanted())
    assert "[f1]" in raised.value.fix


def test_an_archive_elsewhere_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ArchiveNotForFastF1, match="below /static"):
        HistoricalIngestor(load_settings(f1_archive="https://example.org/feeds"), Wanted())


def test_files_without_a_description_are_no_session(tmp_path: Path) -> None:
    with pytest.raises(NotAFeed, match=r"session\.json"):
        tables([])
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(NotAFeed, match=r"session\.json"):
        HistoricalFile.read(tmp_path / "session.json")


def test_a_process_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    async def scene() -> None:
        process = FastF1Process({"cache": str(tmp_path / "cache")})  # does not say where
        try:
            with pytest.raises(FastF1Failed, match="KeyError"):
                await process.ask({}, "a session")
        finally:
            await process.end()

    asyncio.run(scene())


def test_fastf1_reads_a_simulated_session(tmp_path: Path) -> None:
    pytest.importorskip("fastf1", reason="the extra f1 is not installed")

    def make(settings: Settings) -> list[HistoricalIngestor]:
        return [HistoricalIngestor(settings, simulated=[SPA])]

    served = Served()
    (first,), (second,) = run(served, tmp_path, make, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    assert served.seen == [("", "end")] * 2
    session, told = tables(first.artifacts)
    assert session.origin.simulated
    truth = simulate(SPA).laps.sort("driver_number", "lap_number")
    laps = told["laps"].frame.sort("driver_number", "lap_number")
    assert laps["simulated"].all()
    keys = ["driver_number", "lap_number"]
    assert laps.select(keys).cast(pl.Int32).equals(truth.select(keys).cast(pl.Int32))
    timed = laps.filter(pl.col("lap_number") > 1)["lap_time_ms"].to_list()
    assert timed == truth.filter(pl.col("lap_number") > 1)["lap_time_ms"].to_list()
    weather = told["weather"].frame
    assert weather.height == told["weather"].rows > 0
    assert (
        weather["valid_time"].is_between(SPA.feed_start, SPA.feed_start + timedelta(hours=3)).all()
    )


def test_fastf1_reads_a_real_session_of_the_served_archive(f1_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastf1", reason="the extra f1 is not installed")
    path = "2019/2019-09-08_Italian_Grand_Prix/2019-09-07_Qualifying"
    folder = tmp_path / "tree" / path
    shutil.copytree(f1_data / "livetiming" / path, folder)
    timing = folder / "TimingData.jsonStream"
    lines = timing.read_bytes().splitlines(keepends=True)
    timing.chmod(0o644)
    timing.write_bytes(b"".join(lines[: len(lines) // 12]))  # FastF1 takes its time
    wanted = Wanted(years=(2019,), sessions=("2019-09-07_italian_qualifying",))

    def make(settings: Settings) -> list[HistoricalIngestor]:
        return [HistoricalIngestor(settings, wanted)]

    served = Served(tmp_path / "tree", f1_data / "schedule")
    (first,), (second,) = run(served, tmp_path / "data", make, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    session, told = tables(first.artifacts)
    assert session.available
    assert told["laps"].frame.height > 5
    assert told["weather"].rows == 95
    assert told["race_control"].rows == 40
    after = served.seen[served.seen.index(("", "end")) :]
    assert after[1:-1] == [("GET", "/schedule/schedule_2019.json")]
