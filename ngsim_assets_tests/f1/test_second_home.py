"""Sessions in PostgreSQL: the lake's rows, each once, whatever happens to server and connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal
from psycopg import sql
from pydantic import SecretStr

from ngsim_assets.f1.model import F1_LAPS, F1_QUARANTINE, F1_TRACK_STATUS
from ngsim_assets.f1.platform import F1Platform, alone, identity
from ngsim_assets.f1.second_home import KEPT, REPEAT, SecondHome, second_home
from ngsim_assets.f1.simulate import write_feed
from ngsim_assets.f1.stages import store_session
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.f1.telemetry.model import F1_TELEMETRY
from ngsim_assets.settings import Settings
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table
from ngsim_assets_tests.f1.stored import SESSION, brought_in, simulated

HERE = identity(SESSION)
_NUMBERS = count(1)


class Watched(ParquetStorage):
    """A lake that does something once, when the rows of a table are half read."""

    def __init__(self, root: Path, table: Table, then: Callable[[], object]) -> None:
        super().__init__(root)
        self.read: list[str] = []
        self._is_done = False
        self._table = table
        self._then = then

    def frames(
        self,
        table: Table,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        *,
        physical: bool = False,
    ) -> Iterator[pl.DataFrame]:
        self.read.append(table.name)
        for frame in super().frames(table, partition, columns, physical=physical):
            half = frame.height // 2
            yield frame[:half]
            if table == self._table and not self._is_done:
                self._is_done = True
                self._then()
            yield frame[half:]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> F1Platform:
    """Tables of a small session; who changes one puts it back."""
    folder = tmp_path_factory.mktemp("second")
    write_feed(simulated().messages, folder / "feed")
    platform = brought_in(folder / "data", folder / "feed")
    with alone(platform, SESSION):
        store_session(platform, SESSION)
    return platform


@pytest.fixture
def schema() -> str:
    """A schema that no other test uses."""
    return f"f1_{next(_NUMBERS)}"


@pytest.fixture
def home(postgres_server: str, schema: str) -> Iterator[SecondHome]:
    """A second home in that schema that waits little between attempts."""
    with SecondHome(SecretStr(postgres_server), schema=schema, first_wait=0.01) as opened:
        yield opened


@pytest.fixture
def console(postgres_server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


def rows_of(platform: F1Platform, table: Table) -> pl.DataFrame:
    return platform.lake.scan(table, HERE).collect()


def assert_equal_homes(home: SecondHome, platform: F1Platform) -> None:
    """Every table has the same rows in both homes."""
    compared = home.compare_session(platform, SESSION)
    assert [one.table for one in compared] == [table.name for table in TABLES]
    assert [one.sentence() for one in compared if not one.agrees] == []


def test_every_table_is_copied_once_and_again_only_what_changed(
    stored: F1Platform, home: SecondHome
) -> None:
    assert home.prepare() == {table.name: ("create",) for table in TABLES}
    assert home.prepare() == {}
    first = home.copy_session(stored, SESSION)
    rows = {table.name: rows_of(stored, table).height for table in TABLES}
    assert {name: done.inserted for name, done in first.tables.items()} == rows
    assert (first.sent, first.rows, first.up_to_date) == (sum(rows.values()),) * 2 + (False,)
    assert rows["f1_laps"] > 10
    assert rows["f1_telemetry"] > 50
    assert_equal_homes(home, stored)
    again = home.copy_session(stored, SESSION)
    assert (again.sent, again.rows, again.up_to_date) == (0, first.rows, True)

    laps = rows_of(stored, F1_LAPS)
    version = stored.lake.history(F1_LAPS)[0].version
    later = laps[1:].with_columns(position=pl.lit(1, pl.Int32))
    stored.lake.replace(F1_LAPS, HERE, [later])
    found = [one for one in home.compare_session(stored, SESSION) if not one.agrees]
    changed = laps[1:].filter(pl.col("position").ne_missing(1)).height
    assert [(one.table, one.surplus, one.changed) for one in found] == [("f1_laps", 1, changed)]
    done = home.copy_session(stored, SESSION).tables
    assert [name for name, one in done.items() if not one.repeated] == ["f1_laps"]
    assert (done["f1_laps"].deleted, done["f1_laps"].changed) == (1, changed)
    stored.lake.restore(F1_LAPS, HERE, version)
    assert home.copy_session(stored, SESSION).tables["f1_laps"].inserted == 1
    assert_equal_homes(home, stored)


def test_rows_changed_by_hand_are_seen_and_sent_again_where_that_is_asked_for(
    stored: F1Platform, home: SecondHome, console: psycopg.Connection, schema: str
) -> None:
    home.copy_session(stored, SESSION)
    spoil = sql.SQL("DELETE FROM {} WHERE lap_number = 2")
    console.execute(spoil.format(sql.Identifier(schema, "f1_laps")))
    assert home.copy_session(stored, SESSION).up_to_date
    assert [one.missing for one in home.compare_session(stored, SESSION) if not one.agrees] == [4]
    assert home.copy_session(stored, SESSION, again=True).tables["f1_laps"].inserted == 4
    assert_equal_homes(home, stored)


def test_batches_of_a_live_session_are_brought_in_and_then_made_up_for(
    stored: F1Platform, home: SecondHome, console: psycopg.Connection, schema: str
) -> None:
    laps, cars = rows_of(stored, F1_LAPS), rows_of(stored, F1_TELEMETRY)
    status = rows_of(stored, F1_TRACK_STATUS)
    assert home.put(F1_LAPS, SESSION, laps[:2]).inserted == 2
    assert home.put(F1_LAPS, SESSION, laps[:2]).repeated
    late = laps[:3].with_columns(compound=pl.lit("SOFT"))
    done = home.put(F1_LAPS, SESSION, late)
    assert (done.inserted, done.changed, done.deleted) == (1, 2, 0)
    assert home.put(F1_TRACK_STATUS, SESSION, status).inserted == status.height
    for start in (0, 20, 40):
        home.put(F1_TELEMETRY, SESSION, cars[start : start + 30], replaces=False)
    asked = sql.SQL("SELECT count(*), max(repeat) FROM {}")
    told = console.execute(asked.format(sql.Identifier(schema, "f1_telemetry")))
    assert told.fetchone() == (70, 0)
    home.copy_session(stored, SESSION)
    assert_equal_homes(home, stored)


def test_what_a_feed_tells_twice_is_there_twice_and_a_nul_has_a_sign(
    stored: F1Platform, home: SecondHome, tmp_path: Path
) -> None:
    platform = replace(stored, lake=ParquetStorage(tmp_path / "lake"))
    cars = rows_of(stored, F1_TELEMETRY)
    platform.lake.replace(F1_TELEMETRY, HERE, [pl.concat([cars, cars[:5], cars[3:5]])])
    line = {
        **HERE,
        "date": SESSION.date,
        "stage": "reading",
        "table": "f1_messages",
        "reasons": ["damaged_json"],
        "content": "\0\0 of a disk that was full",
        "source_file": "file:///TrackStatus.jsonStream",
        "source_row": 7,
    }
    bad = pl.DataFrame([line, line, {**line, "source_row": 8}], schema=F1_QUARANTINE.schema)
    platform.lake.replace(F1_QUARANTINE, HERE, [bad])
    done = home.copy_session(platform, SESSION).tables
    assert done["f1_telemetry"].inserted == cars.height + 7
    assert done["f1_quarantine"].inserted == 3
    assert_equal_homes(home, platform)
    kept = KEPT["f1_telemetry"]
    sent = kept.rows(pl.concat([cars, cars[:5], cars[3:5]]))
    assert sent[REPEAT][cars.height :].to_list() == [1, 1, 1, 1, 1, 2, 2]
    assert_frame_equal(sent[: cars.height].drop(REPEAT), cars)


def test_a_connection_cut_in_the_middle_of_a_session_is_made_up_for(
    stored: F1Platform, home: SecondHome, console: psycopg.Connection
) -> None:
    def cut() -> None:
        console.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'ngsim_assets'"
        )

    lake = Watched(stored.lake.root, F1_LAPS, cut)
    done = home.copy_session(replace(stored, lake=lake), SESSION)
    assert lake.read.count("f1_laps") == 2
    assert not any(one.repeated for one in done.tables.values())
    assert_equal_homes(home, stored)


def test_a_server_killed_in_the_middle_of_a_session_has_all_of_it_when_it_is_back(
    stored: F1Platform, home: SecondHome, postgres_killed: Callable[[], None]
) -> None:
    lake = Watched(stored.lake.root, F1_TELEMETRY, postgres_killed)
    done = home.copy_session(replace(stored, lake=lake), SESSION)
    assert lake.read.count("f1_telemetry") == 2
    assert done.tables["f1_laps"].inserted == rows_of(stored, F1_LAPS).height
    assert_equal_homes(home, stored)
    assert home.copy_session(stored, SESSION).up_to_date


def test_without_a_server_named_there_is_no_second_home(tmp_path: Path) -> None:
    assert second_home(Settings(data=tmp_path)) is None
    named = Settings(data=tmp_path, postgres_dsn=SecretStr("host=/nowhere user=u"))
    opened = second_home(named)
    assert opened is not None
    opened.close()
    assert "nowhere" not in repr(named)
