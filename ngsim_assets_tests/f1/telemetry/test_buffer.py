"""Live rows wait within bounds, go on by size and age, and are counted when they are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import polars as pl
import pytest

from ngsim_assets.f1.telemetry.buffer import Batch, Bounds, TelemetryBuffer


class HandClock:
    """Time that passes only while somebody waits, and then at once."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        for _ in range(5):  # others may set the event first
            await asyncio.sleep(0)
            if event.is_set():
                return
        if seconds is None:
            await event.wait()
        else:
            self.time += seconds


def _rows(cars: Iterable[int], first: int = 0) -> pl.DataFrame:
    numbers = list(cars)
    return pl.DataFrame(
        {"driver_number": numbers, "value": range(first, first + len(numbers))},
        schema={"driver_number": pl.Int32, "value": pl.Int64},
    )


def test_a_batch_is_due_by_size_and_keeps_the_order() -> None:
    buffer = TelemetryBuffer(Bounds(batch_rows=6), clock=HandClock())
    buffer.offer(_rows([1, 2, 1]))
    assert buffer.take() is None
    buffer.offer(_rows([2, 1, 2], first=3))
    batch = buffer.take()
    assert batch is not None
    assert batch.due == "size"
    assert batch.frame["value"].to_list() == [0, 1, 2, 3, 4, 5]
    assert buffer.rows == 0


def test_a_batch_is_due_by_age_of_its_oldest_row() -> None:
    clock = HandClock()
    buffer = TelemetryBuffer(Bounds(batch_seconds=5), clock=clock)
    clock.time = 100.0
    buffer.offer(_rows([1]))
    clock.time = 104.0
    buffer.offer(_rows([1]))
    assert buffer.due() is None
    clock.time = 105.0
    assert buffer.due() == "age"


def test_a_car_that_floods_takes_no_room_of_others() -> None:
    buffer = TelemetryBuffer(Bounds(rows_per_car=3, batch_rows=100), clock=HandClock())
    assert buffer.offer(_rows([1, 1, 2, 1, 1, 2, 1])) == 2
    batch = buffer.take()
    assert batch is not None
    assert batch.frame["value"].to_list() == [0, 1, 2, 3, 5]
    assert batch.dropped == {1: 2}
    assert (buffer.accepted, buffer.dropped) == (5, {1: 2})


@pytest.mark.parametrize("cars", [[1, 2, 3], [1, 1, 1, 1, 2, 2, 2, 2]])
def test_a_producer_waits_for_a_slow_store_and_nothing_is_lost(cars: list[int]) -> None:
    async def run() -> tuple[list[Batch], TelemetryBuffer]:
        # patience is shorter than a batch may grow old: only the wait for room makes it due
        buffer = TelemetryBuffer(Bounds(10, 1000, 60, patience=2), clock=HandClock())
        taken: list[Batch] = []

        async def produce() -> None:
            for turn in range(50):
                await buffer.put(_rows(cars, first=len(cars) * turn))
            buffer.close()

        async def consume() -> None:
            async for batch in buffer.batches():
                assert batch.frame.group_by("driver_number").len()["len"].max() <= 10
                await asyncio.sleep(0)
                taken.append(batch)

        await asyncio.gather(produce(), consume())
        return taken, buffer

    taken, buffer = asyncio.run(run())
    assert buffer.dropped == {}
    assert pl.concat([batch.frame for batch in taken])["value"].to_list() == list(
        range(50 * len(cars))
    )
    assert len(taken) >= 5


def test_rows_are_dropped_when_patience_is_over() -> None:
    async def run() -> int:
        clock = HandClock()
        buffer = TelemetryBuffer(Bounds(rows_per_car=2, patience=3), clock=clock)
        assert await buffer.put(_rows([1, 1])) == 0
        assert clock.time == 0
        lost = await buffer.put(_rows([1, 2]))
        assert clock.time == 3
        assert buffer.dropped == {1: 1}
        return lost

    assert asyncio.run(run()) == 1


def test_after_the_end_what_waits_is_the_last_batch() -> None:
    async def run() -> list[Batch]:
        buffer = TelemetryBuffer(clock=HandClock())
        buffer.offer(_rows([1]))
        buffer.close()
        with pytest.raises(RuntimeError, match="closed"):
            buffer.offer(_rows([1]))
        return [batch async for batch in buffer.batches()]

    (batch,) = asyncio.run(run())
    assert (batch.due, batch.frame.height) == ("end", 1)


def test_the_wall_clock_flushes_by_age() -> None:
    async def run() -> Batch:
        buffer = TelemetryBuffer(Bounds(batch_seconds=0.05))
        buffer.offer(_rows([1]))
        async for batch in buffer.batches():
            buffer.close()
            return batch
        raise AssertionError("no batch")

    assert asyncio.run(run()).due == "age"


def test_bounds_hold_something() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Bounds(rows_per_car=0)
