"""Tables in the database beside the model: made, widened, refused with the way on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Annotated

import polars as pl
import psycopg
import pytest
from pydantic import Field, SecretStr

from ngsim_assets.storage.postgres.errors import BadIdentity, DatabaseDiffers
from ngsim_assets.storage.postgres.sink import PostgresSink
from ngsim_assets.storage.schema import Column
from ngsim_assets_tests.storage.postgres.tables import (
    EVERYTHING,
    KEY,
    LAPS,
    PARTITION,
    changed,
    laps,
)

SPEED = Annotated[float, Field(description="How fast."), Column(pl.Float64(), "m/s")]


def test_a_table_is_made_with_types_nulls_key_and_comments(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    assert sink.prepare(LAPS, KEY) == ("create",)
    assert sink.prepare(LAPS, KEY) == ()
    columns = console.execute(
        "SELECT column_name, data_type, is_nullable, col_description(%s::regclass,"
        " ordinal_position) FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = 'laps' ORDER BY ordinal_position",
        [f"{schema}.laps", schema],
    ).fetchall()
    assert columns == [
        ("session", "text", "NO", "Which."),
        ("number", "integer", "NO", "Lap."),
        ("time", "double precision", "YES", "How long. [s]"),
        ("note", "text", "YES", "Of it."),
    ]
    about = console.execute("SELECT obj_description(%s::regclass)", [f"{schema}.laps"]).fetchone()
    assert about == ("A lap.",)
    assert sink.prepare(EVERYTHING, KEY) == ("create",)
    assert sink.prepare(EVERYTHING, KEY) == ()
    assert _versions(console, schema) == [("everything", 1, ["create"]), ("laps", 1, ["create"])]


def test_a_new_column_is_added_and_is_null_in_the_rows_there_are(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(2))
    wider = changed("speed", SPEED)
    assert sink.prepare(wider, KEY) == ("add speed double precision",)
    assert sink.prepare(wider, KEY) == ()
    rows = laps(3).with_columns(speed=pl.lit(50.0)).select(wider.schema.names())
    assert sink.compare(wider, PARTITION, rows).changed == 2
    sink.write(wider, PARTITION, rows)
    assert sink.compare(wider, PARTITION, rows).agrees
    assert _versions(console, schema)[-1] == ("laps", 2, ["add speed double precision"])
    with pytest.raises(DatabaseDiffers, match=r"speed is in the database only.*update the code"):
        sink.prepare(LAPS, KEY)


def test_null_may_be_allowed_later_and_a_new_comment_is_taken(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    strict = changed("time", Annotated[float, Field(description="T."), Column(pl.Float64(), "s")])
    sink.prepare(strict, KEY)
    assert sink.prepare(LAPS, KEY) == ("allow null in time",)
    about = console.execute("SELECT col_description(%s::regclass, 3)", [f"{schema}.laps"])
    assert about.fetchone() == ("How long. [s]",)
    sink.write(LAPS, PARTITION, laps(1).with_columns(time=pl.lit(None, pl.Float64)))


@pytest.mark.parametrize(
    ("name", "annotation", "fault"),
    [
        (
            "number",
            Annotated[int, Column(pl.Int64())],
            'number is integer there, bigint in the model.*ALTER COLUMN "number" TYPE bigint',
        ),
        ("time", Annotated[float | None, Column(pl.Float64(), "ms")], "time is in s there, in ms"),
        ("note", Annotated[list[str] | None, Column(pl.List(pl.String()))], "note is text there"),
    ],
)
def test_a_change_of_what_is_there_is_refused_and_told_how_to_be_done(
    sink: PostgresSink,
    console: psycopg.Connection,
    schema: str,
    name: str,
    annotation: object,
    fault: str,
) -> None:
    sink.prepare(LAPS, KEY)
    with pytest.raises(DatabaseDiffers, match=f"{fault}.*DROP TABLE"):
        sink.prepare(changed(name, annotation), KEY)
    assert _versions(console, schema) == [("laps", 1, ["create"])]
    console.execute(f'DROP TABLE "{schema}".laps'.encode())
    assert sink.prepare(changed(name, annotation), KEY) == ("create",)


def test_the_statements_of_a_refusal_are_the_way_on(
    sink: PostgresSink, console: psycopg.Connection
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(2))
    longer = changed("number", Annotated[int, Field(description="Lap."), Column(pl.Int64())])
    with pytest.raises(DatabaseDiffers) as refused:
        sink.prepare(longer, KEY)
    for statement in refused.value.statements:
        console.execute(statement.encode())
    sink.prepare(longer, KEY)
    assert sink.compare(longer, PARTITION, laps(2).cast({"number": pl.Int64})).agrees


def test_a_renamed_column_keeps_its_values(sink: PostgresSink, console: psycopg.Connection) -> None:
    before = changed("pace", SPEED)
    sink.prepare(before, KEY)
    after = changed("speed", SPEED, renamed={"speed": "pace"})
    with pytest.raises(DatabaseDiffers, match="speed is named pace there") as refused:
        sink.prepare(after, KEY)
    for statement in refused.value.statements:
        console.execute(statement.encode())
    assert sink.prepare(after, KEY) == ()


def test_another_key_and_keys_that_are_none_are_refused(sink: PostgresSink) -> None:
    with pytest.raises(BadIdentity, match="no columns lap"):
        sink.prepare(LAPS, ("lap",))
    sink.prepare(LAPS, KEY)
    with pytest.raises(DatabaseDiffers, match="told apart by session, number there"):
        sink.prepare(LAPS, ("number", "time"))


def test_a_table_that_was_dropped_is_filled_again(
    sink: PostgresSink, console: psycopg.Connection, schema: str
) -> None:
    sink.prepare(LAPS, KEY)
    sink.write(LAPS, PARTITION, laps(5))
    console.execute(f'DROP TABLE "{schema}".laps'.encode())
    assert sink.prepare(LAPS, KEY) == ("create",)
    assert sink.write(LAPS, PARTITION, laps(5)).inserted == 5
    assert _versions(console, schema) == [("laps", 1, ["create"]), ("laps", 2, ["create"])]


def test_processes_that_start_at_once_make_each_table_once(
    server: str, schema: str, console: psycopg.Connection
) -> None:
    start = Barrier(6)

    def prepare(number: int) -> tuple[str, ...]:
        with PostgresSink(SecretStr(server), schema=schema, retries=0) as mine:
            start.wait()
            return mine.prepare(LAPS if number % 2 else EVERYTHING, KEY)

    with ThreadPoolExecutor(6) as pool:
        steps = sorted(pool.map(prepare, range(6)))
    assert steps == [(), (), (), (), ("create",), ("create",)]
    assert len(_versions(console, schema)) == 2


def _versions(console: psycopg.Connection, schema: str) -> list[tuple[object, ...]]:
    statement = psycopg.sql.SQL("SELECT table_name, version, steps FROM {} ORDER BY 1, 2")
    return console.execute(
        statement.format(psycopg.sql.Identifier(schema, "_migrations"))
    ).fetchall()
