"""Telemetry of recordings and streams: every row is stored, rejected or counted as dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.live.replay import items, replay
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading import recordings
from ngsim_assets.f1.reading.messages import Item
from ngsim_assets.f1.simulate import Scenario, simulate
from ngsim_assets.f1.simulation.wire import write_recording
from ngsim_assets.f1.sources.feed_source import readings
from ngsim_assets.f1.sources.recorded import Recorded
from ngsim_assets.f1.sources.telemetry import TelemetryIngestor, TelemetryStream
from ngsim_assets.f1.telemetry.buffer import Bounds, TelemetryBuffer
from ngsim_assets.settings import Settings
from ngsim_assets_tests.f1.sources.served import Served, run

SCENARIO = Scenario(laps=2, cars=4, seed=8)
SPAN = (600_000, 620_000)
MEXICO = "2024-10-26_mexico-city_practice-3"
MEXICO_FILE = "2024-10-26_mexico_fp3_presession_car_and_position.txt"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a simulated session."""
    session = simulate(SCENARIO, telemetry=SPAN)
    path = tmp_path_factory.mktemp("recordings") / "spa.txt"
    return write_recording(session.messages, SCENARIO.feed_start, path)


async def taken(buffer: TelemetryBuffer, seconds: float = 0.0) -> list[pl.DataFrame]:
    """Batches of a buffer, each taking its time to be stored."""
    frames: list[pl.DataFrame] = []
    async for batch in buffer.batches():
        frames.append(batch.frame)
        await asyncio.sleep(seconds)
    return frames


def replayed(path: Path, session: str, speed: float | None = None) -> AsyncGenerator[Item]:
    """Items of a recording as its session went on."""
    return items(replay(path, speed).lines(), session, str(path))


PATIENCE = 300.0  # s, on a machine that has much else to do


def stream(
    items: AsyncIterator[Item], through: TelemetryStream, seconds: float = 0.0
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Batches of cars and of places."""

    async def scene() -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
        async with asyncio.TaskGroup() as group:
            cars = group.create_task(taken(through.cars, seconds))
            places = group.create_task(taken(through.places, seconds))
            group.create_task(through.run(items))
        return cars.result(), places.result()

    return asyncio.run(scene())


def balanced(through: TelemetryStream) -> None:
    """Nothing is lost without a word."""
    account = through.account
    aside = account.aside.total()
    assert account.messages == account.telemetry + account.other_topics + aside
    assert account.decoded == account.put + account.rejected + account.other_cars
    buffers = (through.cars, through.places)
    assert account.put == sum(one.accepted + one.dropped.total() for one in buffers)
    assert account.dropped == sum(one.dropped.total() for one in buffers)


def test_a_recording_is_kept_and_read_and_not_kept_again(recording: Path, tmp_path: Path) -> None:
    def make(settings: Settings) -> list[TelemetryIngestor]:
        return [TelemetryIngestor(settings, Recorded({recording: None}))]

    (first,), (second,) = run(Served(), tmp_path, make, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    told, read = readings(first.artifacts)
    assert (told.key, told.source, told.simulated) == (SCENARIO.session, "signalr", True)
    assert read["recording.txt"].account.complete
    assert {"CarData.z", "Position.z"} <= set(read["recording.txt"].account.topics)


def test_a_recording_that_does_not_tell_its_session_wants_a_name(tmp_path: Path) -> None:
    path = tmp_path / "nameless.txt"
    path.write_text("['TrackStatus', {'Status': '1'}, '2024-10-26T17:16:16.692Z']\n")

    def make(key: str | None) -> Callable[[Settings], list[TelemetryIngestor]]:
        return lambda settings: [TelemetryIngestor(settings, Recorded({path: key}))]

    ((nameless,),) = run(Served(), tmp_path / "data", make(None))
    assert isinstance(nameless.source_error, SessionUnknown)
    ((named,),) = run(Served(), tmp_path / "data", make(MEXICO))
    assert named.status == "fetched"


def test_a_stream_becomes_batches_with_every_row_of_the_truth(recording: Path) -> None:
    origin = Origin(SCENARIO.session, "signalr", simulated=True)
    through = TelemetryStream(origin, bounds=Bounds(batch_rows=100, patience=PATIENCE))
    cars, places = stream(replayed(recording, str(SCENARIO.session)), through)
    truth = simulate(SCENARIO, telemetry=SPAN).telemetry
    assert truth is not None
    rows = pl.concat(cars)
    assert rows.height == truth.height
    assert rows["simulated"].all()
    assert pl.concat(places).height > 0
    assert through.account.dropped == 0
    balanced(through)


def test_a_store_that_is_too_slow_costs_rows_that_are_counted(recording: Path) -> None:
    origin = Origin(SCENARIO.session, "signalr", simulated=True)
    bounds = Bounds(rows_per_car=5, batch_rows=20, patience=0.0)
    through = TelemetryStream(origin, bounds=bounds)
    cars, _ = stream(replayed(recording, str(SCENARIO.session)), through, seconds=0.05)
    assert through.account.dropped > 0
    assert sum(frame.height for frame in cars) == through.cars.accepted
    assert all(frame.height <= 5 * SCENARIO.cars for frame in cars)
    balanced(through)


def test_a_stream_that_breaks_off_hands_on_what_had_come(recording: Path) -> None:
    through = TelemetryStream(Origin(SCENARIO.session, "signalr"))

    async def broken() -> AsyncIterator[Item]:
        async for item in replayed(recording, str(SCENARIO.session)):
            yield item
            if through.account.messages > 60:
                raise ConnectionResetError

    async def scene() -> list[pl.DataFrame]:
        batches = asyncio.create_task(taken(through.cars))
        with pytest.raises(ConnectionResetError):
            await through.run(broken())
        return await batches

    frames = asyncio.run(scene())
    assert sum(frame.height for frame in frames) == through.cars.accepted
    balanced(through)


def test_a_replay_goes_as_fast_as_it_is_told(recording: Path) -> None:
    messages = recordings.read_file(recording, "x").messages
    times = [message.utc for message in messages if message.utc is not None]
    speed = (times[-1] - times[0]).total_seconds() / 0.3

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert [item async for item in replayed(recording, "x", speed=speed)]
        return loop.time() - began

    assert asyncio.run(scene()) >= 0.29


def test_the_real_recording_streams_without_a_loss(f1_data: Path, tmp_path: Path) -> None:
    path = f1_data / "recordings" / MEXICO_FILE

    def make(settings: Settings) -> list[TelemetryIngestor]:
        return [TelemetryIngestor(settings, Recorded({path: MEXICO}))]

    ((result,),) = run(Served(), tmp_path, make)
    (artifact, _) = result.artifacts
    assert (artifact.rows, artifact.bytes) == (2116, path.stat().st_size)
    origin = Origin(readings(result.artifacts)[0].key, "signalr")
    through = TelemetryStream(origin, bounds=Bounds(patience=PATIENCE))
    cars, places = stream(replayed(artifact.path, MEXICO), through)
    account = through.account
    assert (account.messages, account.telemetry, account.dropped) == (2116, 1904, 0)
    assert account.decoded == 72_340 + 76_152
    assert sum(frame.height for frame in [*cars, *places]) == account.put
    balanced(through)
