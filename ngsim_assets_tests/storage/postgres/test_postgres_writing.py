"""What becomes of rows, also where the writer or its connection dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from ngsim_assets.storage.errors import InvalidPartition, SchemaMismatch
from ngsim_assets.storage.postgres import forms
from ngsim_assets.storage.postgres.errors import (
    BadIdentity,
    ConnectionLost,
    RowsRefused,
    TextWithNul,
)
from ngsim_assets.storage.postgres.sink import PostgresSink, Written
from ngsim_assets_tests.storage.postgres import writers
from ngsim_assets_tests.storage.postgres.tables import KEY, LAPS, PARTITION, laps


@pytest.fixture
def times(console: psycopg.Connection, schema: str) -> Callable[[], list[tuple[object, ...]]]:
    """Laps' times as they are in the database, each with its count."""
    statement = psycopg.sql.SQL(
        "SELECT session, time, count(*) FROM {} GROUP BY 1, 2 ORDER BY 1, 2"
    ).format(psycopg.sql.Identifier(schema, "laps"))
    return lambda: console.execute(statement).fetchall()


def test_new_rows_come_in_changed_ones_change_and_the_rest_is_not_touched(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(10))
    place = psycopg.sql.Identifier(schema, "laps")
    read = psycopg.sql.SQL("SELECT number, xmin::text FROM {}").format(place)
    before = dict(console.execute(read).fetchall())

    with_others = laps(12).with_columns(
        time=pl.when(pl.col("number") == 3).then(1.0).otherwise("time")
    )
    done = sink.write(LAPS, PARTITION, with_others)

    assert (done.rows, done.inserted, done.changed, done.deleted) == (12, 2, 1, 0)
    after = dict(console.execute(read).fetchall())
    assert {number for number in before if before[number] != after[number]} == {3}


def test_replacing_leaves_exactly_the_rows_given_and_other_partitions_alone(
    sink: PostgresSink, times: Callable[[], object]
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(10))
    sink.write(LAPS, {"session": "two"}, laps(5, session="two"))

    done = sink.write(LAPS, PARTITION, laps(4, time=1.0), replaces=True)

    assert (done.inserted, done.changed, done.deleted) == (0, 4, 6)
    assert times() == [("one", 1.0, 4), ("two", 90.0, 5)]
    assert sink.write(LAPS, PARTITION, laps(0), replaces=True).deleted == 4
    assert times() == [("two", 90.0, 5)]


def test_a_repeated_batch_does_nothing_but_rows_of_before_can_come_back(
    sink: PostgresSink, times: Callable[[], object]
) -> None:
    sink.prepare(LAPS, KEY)
    first = sink.write(LAPS, PARTITION, laps(10), replaces=True)
    again = sink.write(LAPS, PARTITION, laps(10), replaces=True)
    assert (first.repeated, again.repeated) == (False, True)
    assert (again.batch, again.inserted) == (first.batch, 10)

    sink.write(LAPS, PARTITION, laps(10, time=1.0), replaces=True)
    back = sink.write(LAPS, PARTITION, laps(10), replaces=True)
    assert (back.repeated, back.changed) == (False, 10)
    assert times() == [("one", 90.0, 10)]


def test_an_added_batch_counts_once_unless_its_version_or_the_caller_says_otherwise(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(3))
    sink.write(LAPS, PARTITION, laps(3, time=1.0))
    assert sink.write(LAPS, PARTITION, laps(3)).repeated
    assert sink.write(LAPS, PARTITION, laps(3), version="3").changed == 3

    spoil = psycopg.sql.SQL("DELETE FROM {}").format(psycopg.sql.Identifier(schema, "laps"))
    console.execute(spoil)
    assert sink.write(LAPS, PARTITION, laps(3), version="3").repeated
    assert sink.write(LAPS, PARTITION, laps(3), version="3", again=True).inserted == 3


def test_a_batch_larger_than_a_slice_is_the_same_batch(server: str, schema: str) -> None:
    with PostgresSink(SecretStr(server), schema=schema, slice_rows=3, small=0) as narrow:
        narrow.prepare(LAPS, KEY)
        first = narrow.write(LAPS, PARTITION, laps(10))
    with PostgresSink(SecretStr(server), schema=schema) as wide:
        wide.prepare(LAPS, KEY)
        again = wide.write(LAPS, PARTITION, lambda: iter([laps(10)[:4], laps(10)[4:]]))
    assert (first.inserted, again.repeated) == (10, True)


def test_a_batch_told_by_its_version_is_read_once_and_not_at_all_if_it_is_there(
    sink: PostgresSink, times: Callable[[], object]
) -> None:
    sink.prepare(LAPS, KEY)
    calls = count()

    def write(version: str, time: float) -> Written:
        def rows() -> Iterator[pl.DataFrame]:
            next(calls)
            yield laps(5, time=time)

        return sink.write(
            LAPS, PARTITION, rows, replaces=True, version=version, is_told_by_version=True
        )

    assert [write("a", 1.0).inserted, next(calls)] == [5, 1]
    assert [write("a", 2.0).repeated, next(calls)] == [True, 2]
    assert [write("b", 2.0).changed, next(calls)] == [5, 4]
    assert [write("a", 1.0).repeated, times()] == [False, [("one", 1.0, 5)]]
    sink.write(LAPS, PARTITION, laps(1, time=9.0))
    assert write("a", 1.0).changed == 1


def test_small_batches_one_after_the_other_are_weighed_each_by_itself(
    sink: PostgresSink, times: Callable[[], object]
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(9))
    assert sink.write(LAPS, PARTITION, laps(3, time=1.0)).changed == 3
    with pytest.raises(BadIdentity, match="same key"):
        sink.write(LAPS, PARTITION, pl.concat([laps(2), laps(2)]))
    assert sink.write(LAPS, PARTITION, laps(2, time=2.0)).changed == 2
    done = sink.write(LAPS, PARTITION, laps(10, time=2.0)[1:], replaces=True)
    assert (done.rows, done.inserted, done.changed, done.deleted) == (9, 1, 7, 1)
    assert times() == [("one", 2.0, 9)]


def test_rows_of_much_text_are_sent_and_compared_a_few_at_a_time(
    sink: PostgresSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sliced: list[int] = []
    csv_of = forms.csv_of

    def seen(table: str, rows: pl.DataFrame) -> bytes:
        sliced.append(rows.height)
        return csv_of(table, rows)

    monkeypatch.setattr(forms, "csv_of", seen)
    monkeypatch.setattr("ngsim_assets.storage.postgres.sink.SLICE_BYTES", 10_000)
    sink.prepare(LAPS, KEY)
    long = laps(10).with_columns(note=pl.lit("x" * 3_000))
    assert sink.write(LAPS, PARTITION, long).inserted == 10
    assert sliced == [3, 3, 3, 1]
    assert sink.compare(LAPS, PARTITION, long).agrees


@pytest.mark.parametrize("is_there", [False, True])
def test_a_connection_cut_in_the_middle_is_opened_again_and_the_batch_written_once(
    frugal: PostgresSink, console: psycopg.Connection, times: Callable[[], object], is_there: bool
) -> None:
    frugal.prepare(LAPS, KEY)
    if is_there:
        frugal.write(LAPS, PARTITION, laps(9_000))
    before = times()
    seen: list[object] = []
    calls = count()

    def rows() -> Iterator[pl.DataFrame]:
        is_first_sending = next(calls) == 1
        yield laps(5_000, time=1.0)
        if is_first_sending:
            _cut(console)
            seen.append(times())
        yield laps(8_000, time=1.0)[5_000:]

    done = frugal.write(LAPS, PARTITION, rows, replaces=True)

    assert seen == [before]
    assert next(calls) == 3
    assert (done.rows, done.repeated) == (8_000, False)
    assert times() == [("one", 1.0, 8_000)]


@pytest.mark.parametrize("replaces", [False, True])
def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    sink: PostgresSink, monkeypatch: pytest.MonkeyPatch, times: Callable[[], object], replaces: bool
) -> None:
    sink.prepare(LAPS, KEY)
    server = sink._server
    once = server._once
    calls = count()

    def deaf(table: str, work: Callable[[psycopg.Connection], object]) -> object:
        answer = once(table, work)
        if next(calls) == 0:
            server.close()
            raise ConnectionLost(server.host)
        return answer

    monkeypatch.setattr(server, "_once", deaf)
    done = sink.write(LAPS, PARTITION, laps(10), replaces=replaces)
    assert (done.repeated, done.inserted, next(calls)) == (True, 10, 2)
    assert times() == [("one", 90.0, 10)]


def test_a_connection_that_is_cut_each_time_leaves_the_old_rows(
    server: str, schema: str, console: psycopg.Connection, times: Callable[[], object]
) -> None:
    def rows() -> Iterator[pl.DataFrame]:
        yield laps(5_000, time=1.0)
        _cut(console)

    with PostgresSink(
        SecretStr(server), schema=schema, retries=1, first_wait=0.01, small=0
    ) as sink:
        sink.prepare(LAPS, KEY)
        sink.write(LAPS, PARTITION, laps(10))
        calls = count()
        with pytest.raises(ConnectionLost, match="undone"):
            sink.write(
                LAPS, PARTITION, lambda: rows() if next(calls) else iter([laps(5_000, time=1.0)])
            )
        assert times() == [("one", 90.0, 10)]
        assert sink.write(LAPS, PARTITION, laps(10)).repeated


def test_a_writer_that_is_killed_leaves_the_old_rows_and_no_lock(
    server: str, schema: str, sink: PostgresSink, times: Callable[[], object]
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(10))
    command = [sys.executable, "-m", writers.__name__, server, schema]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert times() == [("one", 90.0, 10)]
    assert sink.write(LAPS, PARTITION, laps(8, time=3.0), replaces=True).deleted == 2
    assert times() == [("one", 3.0, 8)]


def test_writers_of_one_partition_take_turns(
    server: str, schema: str, times: Callable[[], object]
) -> None:
    start = threading.Barrier(4)

    def write(time: float) -> bool:
        with PostgresSink(SecretStr(server), schema=schema) as mine:
            start.wait()
            mine.prepare(LAPS, KEY)
            return mine.write(LAPS, PARTITION, laps(500, time=time), replaces=True).repeated

    with ThreadPoolExecutor(4) as pool:
        repeated = list(pool.map(write, [1.0, 1.0, 1.0, 1.0]))
    assert sorted(repeated) == [False, True, True, True]
    assert times() == [("one", 1.0, 500)]


def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(
    sink: PostgresSink, frugal: PostgresSink, times: Callable[[], object]
) -> None:
    with pytest.raises(BadIdentity, match="not prepared"):
        sink.write(LAPS, PARTITION, laps(1))
    sink.prepare(LAPS, KEY)
    rows = laps(3)
    with pytest.raises(SchemaMismatch, match="no column note; column number is Int64, not Int32"):
        sink.write(LAPS, PARTITION, rows.drop("note").cast({"number": pl.Int64}))
    with pytest.raises(InvalidPartition, match="another session"):
        sink.write(LAPS, {"session": "two"}, rows)
    with pytest.raises(InvalidPartition, match="does not name"):
        sink.write(LAPS, {}, rows)
    with pytest.raises(TextWithNul, match="column note has the character NUL in 3"):
        sink.write(LAPS, PARTITION, rows.with_columns(note=pl.lit("a\0b")))
    with pytest.raises(BadIdentity, match="same key"):
        sink.write(LAPS, PARTITION, pl.concat([rows, rows]))
    with pytest.raises(RowsRefused, match="null value in column"):
        sink.write(LAPS, PARTITION, rows.with_columns(number=pl.lit(None, pl.Int32)))
    calls = count()
    frugal.prepare(LAPS, KEY)
    with pytest.raises(RowsRefused, match="second time they were others"):
        frugal.write(LAPS, PARTITION, lambda: iter([laps(3, time=next(calls))]))
    assert times() == []
    sink.write(LAPS, PARTITION, rows)
    with pytest.raises(BadIdentity, match="same key"):
        sink.write(LAPS, PARTITION, pl.concat([rows, rows]))
    assert times() == [("one", 90.0, 3)]


def _cut(console: psycopg.Connection) -> None:
    """End every connection of a sink, and wait until each has ended."""
    ended = console.execute(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE application_name = 'ngsim_assets'"
    ).fetchone()
    assert ended is not None
    assert ended[0] >= 1
