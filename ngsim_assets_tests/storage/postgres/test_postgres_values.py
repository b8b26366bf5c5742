"""Every value comes back from PostgreSQL as it was sent, and comparing sees each that did not."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from ngsim_assets.storage.postgres.errors import UnstorableColumn
from ngsim_assets.storage.postgres.forms import forms_of
from ngsim_assets.storage.postgres.sink import PostgresSink
from ngsim_assets_tests.storage.postgres.tables import (
    EVERYTHING,
    KEY,
    KINDS,
    LAPS,
    NOON,
    PARTITION,
    changed,
    everything,
    laps,
)

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_TEXT |= st.sampled_from(["", "\\N", "\\.", "NULL", '"', "a,b", "\r\n", "{}", "=", "\\x", "\u2028"])
_AWARE = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001
_SPAN = st.integers(-(10**17), 10**17).map(lambda us: timedelta(microseconds=us))
_VALUES: dict[str, st.SearchStrategy[object]] = {
    "flag": st.booleans(),
    "tiny": st.integers(-128, 127),
    "short": st.integers(0, 2**16 - 1),
    "small": st.integers(-(2**31), 2**31 - 1),
    "large": st.integers(-(2**63), 2**63 - 1),
    "huge": st.integers(0, 2**64 - 1),
    "narrow": st.floats(width=32),
    "wide": st.floats(),
    "exact": st.integers(-(10**12) + 1, 10**12 - 1).map(lambda whole: Decimal(whole).scaleb(-3)),
    "name": _TEXT,
    "body": st.binary(max_size=8),
    "day": st.dates(),
    "moment": _AWARE,
    "there": _AWARE,
    "clock": _AWARE,
    "span": _SPAN,
    "names": st.lists(st.none() | _TEXT, max_size=3),
    "codes": st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=3),
    "sizes": st.lists(st.none() | st.floats(), max_size=3),
    "flags": st.lists(st.none() | st.booleans(), max_size=3),
}
_ROW = st.fixed_dictionaries({name: st.none() | value for name, value in _VALUES.items()})


@pytest.fixture(scope="module")
def filled(server: str) -> PostgresSink:
    """A sink with the table of everything, for all examples."""
    sink = PostgresSink(SecretStr(server), schema="values")
    sink.prepare(EVERYTHING, KEY)
    yield sink
    sink.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(_ROW, min_size=1, max_size=6))
def test_every_value_comes_back_as_it_was_sent(
    filled: PostgresSink, rows: list[dict[str, object]]
) -> None:
    columns = {name: [row[name] for row in rows] for name in KINDS}
    moments = [name for name, dtype in KINDS.items() if isinstance(dtype, pl.Datetime)]
    frame = everything(**{name: columns[name] for name in KINDS if name not in moments})
    frame = frame.with_columns(
        pl.Series(name, columns[name], pl.Datetime("us"))
        .dt.replace_time_zone("UTC" if KINDS[name].time_zone else None)
        .cast(KINDS[name])
        for name in moments
    )
    filled.write(EVERYTHING, PARTITION, frame, replaces=True)
    found = filled.compare(EVERYTHING, PARTITION, frame)
    assert found.agrees, found.sentence()
    assert found.rows_there == len(rows)


def test_a_client_of_its_own_reads_the_values_as_they_are(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    sink.prepare(EVERYTHING, KEY)
    rows = everything(
        flag=[True],
        huge=[2**64 - 1],
        wide=[float("inf")],
        exact=[Decimal("-1.250")],
        name=["Räikkönen, \\N"],
        body=[b"\x00\xff"],
        day=[date(2025, 5, 3)],
        moment=[NOON],
        span=[timedelta(hours=30, microseconds=1)],
        names=[["a", None, 'b"\\']],
        sizes=[[1.5, float("nan")]],
        flags=[[True, None]],
    )
    sink.write(EVERYTHING, PARTITION, rows)
    statement = psycopg.sql.SQL(
        "SELECT flag, huge, wide, exact, name, body, day, moment, span, names, sizes[1], flags,"
        " tiny FROM {}"
    ).format(psycopg.sql.Identifier(schema, "everything"))
    assert console.execute(statement).fetchone() == (
        True,
        Decimal(2**64 - 1),
        float("inf"),
        Decimal("-1.250"),
        "Räikkönen, \\N",
        b"\x00\xff",
        date(2025, 5, 3),
        NOON,
        timedelta(hours=30, microseconds=1),
        ["a", None, 'b"\\'],
        1.5,
        [True, None],
        None,
    )


@pytest.mark.parametrize(
    "dtype", [pl.Datetime("ns"), pl.Duration("ns"), pl.Time(), pl.List(pl.Date())]
)
def test_a_type_without_an_exact_form_is_refused(dtype: pl.DataType) -> None:
    from typing import Annotated

    from ngsim_assets.storage.schema import Column

    with pytest.raises(UnstorableColumn, match="column odd of type"):
        forms_of(changed("odd", Annotated[int, Column(dtype)]))


def test_rows_in_another_order_agree_and_spoilt_ones_are_named(
    server: str, schema: str, console: psycopg.Connection
) -> None:
    with PostgresSink(SecretStr(server), schema=schema, slice_rows=7) as sink:
        sink.prepare(LAPS, KEY)
        rows = laps(30)
        sink.write(LAPS, PARTITION, rows)
        sink.write(LAPS, {"session": "two"}, laps(3, session="two"))
        same = sink.compare(LAPS, PARTITION, rows.reverse())
        assert same.agrees
        assert same.sentence() == "laps one: the same 30 rows in both"

        place = psycopg.sql.Identifier(schema, "laps")
        for change in (
            "UPDATE {} SET time = 90.00000000000001 WHERE session = 'one' AND number IN (4, 8)",
            "UPDATE {} SET note = '' WHERE session = 'one' AND number = 5",
            "DELETE FROM {} WHERE session = 'one' AND number IN (20, 21, 22)",
            "INSERT INTO {} VALUES ('one', 99, NULL, NULL)",
        ):
            console.execute(psycopg.sql.SQL(change).format(place))
        found = sink.compare(LAPS, PARTITION, rows, sample=2)
        assert not found.agrees
        assert (found.rows_here, found.rows_there) == (30, 28)
        assert (found.missing, found.surplus, found.changed) == (3, 1, 3)
        assert found.key == ("session", "number")
        assert found.missing_keys == (("one", 20), ("one", 21))
        assert found.surplus_keys == (("one", 99),)
        assert found.changed_keys == (("one", 4), ("one", 5))
        assert "3 missing there, 1 only there, 3 with other values" in found.sentence()

        sink.write(LAPS, PARTITION, rows, replaces=True)
        assert sink.compare(LAPS, PARTITION, rows).agrees


def test_an_empty_partition_agrees_with_no_rows(sink: PostgresSink) -> None:
    sink.prepare(LAPS, KEY)
    assert sink.compare(LAPS, PARTITION, laps(0)).agrees
    found = sink.compare(LAPS, PARTITION, laps(2))
    assert (found.missing, found.missing_keys) == (2, (("one", 0), ("one", 1)))
