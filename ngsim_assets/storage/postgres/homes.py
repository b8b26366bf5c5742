"""The tables in the database: made, widened by new columns, refused where they differ.

Belongs here: the schema, the ledgers of migrations and of batches, columns and their comments.
Does not belong here: rows.

The policy is the lake's (`storage/evolution.py`): what touches no row there is done, a new column
and a column that may be null from now on. Everything else is refused and told how to be done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngsim_assets.storage.postgres.connecting import Server
from ngsim_assets.storage.postgres.errors import BadIdentity, DatabaseDiffers
from ngsim_assets.storage.postgres.forms import Form, forms_of
from ngsim_assets.storage.schema import Table, documentation_of

if TYPE_CHECKING:
    import psycopg.sql

MIGRATIONS = "_migrations"
BATCHES = "_batches"

_WIDER = {
    ("smallint", "integer"),
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("real", "double precision"),
}
"""Changes of a type that keep every value: these can be done in place, by hand."""

_MIGRATIONS_COLUMNS = """(
    table_name text NOT NULL,
    version integer NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    steps jsonb NOT NULL,
    columns jsonb NOT NULL,
    PRIMARY KEY (table_name, version)
)"""
_BATCHES_COLUMNS = """(
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    partition text NOT NULL,
    batch text NOT NULL,
    version text NOT NULL,
    replaced boolean NOT NULL,
    rows bigint NOT NULL,
    inserted bigint NOT NULL,
    changed bigint NOT NULL,
    deleted bigint NOT NULL,
    written_at timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (table_name, partition, batch)
)"""


@dataclass(frozen=True)
class Home:
    """A table as it is written to: its forms, and the columns that tell its rows apart."""

    table: Table
    key: tuple[str, ...]
    forms: Mapping[str, Form]

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that are no part of the key."""
        return tuple(name for name in self.forms if name not in self.key)

    @property
    def within_partition(self) -> tuple[str, ...]:
        """Columns that tell rows of one partition apart."""
        return tuple(name for name in self.key if name not in self.table.identity) or self.key

    def within(self) -> psycopg.sql.Composable:
        """The condition that a row is of a partition, which `within_values` tells."""
        from psycopg import sql

        conditions = [
            _sql("{} = {}::{}").format(
                sql.Identifier(name), sql.Placeholder(f"in_{place}"), _sql(self.forms[name].sql)
            )
            for place, name in enumerate(self.table.identity)
        ]
        return sql.SQL(" AND ").join(conditions or [sql.SQL("true")])

    def within_values(self, partition: Mapping[str, str]) -> dict[str, str]:
        """Values of the condition `within`."""
        return {f"in_{place}": partition[name] for place, name in enumerate(self.table.identity)}

    def reading(self, place: psycopg.sql.Composable) -> psycopg.sql.Composed:
        """The command that sends a partition of `place` as `forms.frame_of` takes its rows."""
        from psycopg import sql

        columns = [
            _sql(form.read).format(sql.Identifier(name)) for name, form in self.forms.items()
        ]
        return sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT csv, NULL '')").format(
            sql.SQL(", ").join(columns), place, self.within()
        )


@dataclass(frozen=True)
class _Stored:
    """Columns of a table in the database: type and whether null is refused; and its key."""

    columns: Mapping[str, tuple[str, bool]]
    key: tuple[str, ...]


def home_of(table: Table, key: Sequence[str]) -> Home:
    """The table under its whole key: the columns that name a partition, then those of `key`."""
    whole = tuple(dict.fromkeys((*table.identity, *key)))
    unknown = [name for name in whole if name not in table.columns]
    if unknown or not whole:
        raise BadIdentity(table.name, f"no columns {', '.join(unknown)}" if unknown else "no key")
    return Home(table, whole, forms_of(table))


def prepare(connection: psycopg.Connection, server: Server, home: Home) -> tuple[str, ...]:
    """Bring the table to the model, one process at a time; the steps that were done.

    DatabaseDiffers where that would touch rows; the transaction then leaves all as it was.
    """
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        [f"ngsim_assets migrations {server.schema}"],
    )
    _lay_ground(connection, server)
    stored = _stored(connection, server, home.table.name)
    version, recorded = _recorded(connection, server, home.table.name)
    if stored is None:
        steps = _create(connection, server, home)
    else:
        _refuse_differences(server, home, stored, recorded)
        steps = _widen(connection, server, home, stored)
    columns = _described(home)
    if steps or columns != recorded:
        _comment(connection, server, home)
        connection.execute(
            _statement("INSERT INTO {} (table_name, version, steps, columns)", server, MIGRATIONS)
            + _sql(" VALUES (%s, %s, %s, %s)"),
            [home.table.name, version + 1, json.dumps(steps), json.dumps(columns)],
        )
    return tuple(steps)


def _lay_ground(connection: psycopg.Connection, server: Server) -> None:
    """Schema and ledgers, made only where absent: who may not make them may still write."""
    found = connection.execute(
        "SELECT 1 FROM pg_namespace WHERE nspname = %s", [server.schema]
    ).fetchone()
    if found is None:
        from psycopg import sql

        connection.execute(_sql("CREATE SCHEMA {}").format(sql.Identifier(server.schema)))
    for name, columns in ((MIGRATIONS, _MIGRATIONS_COLUMNS), (BATCHES, _BATCHES_COLUMNS)):
        if _stored(connection, server, name) is None:
            connection.execute(_statement("CREATE TABLE {} ", server, name) + _sql(columns))


def _stored(connection: psycopg.Connection, server: Server, name: str) -> _Stored | None:
    found = connection.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [server.schema, name],
    ).fetchone()
    if found is None:
        return None
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [found[0]],
    ).fetchall()
    key = connection.execute(
        "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
        " WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.n",
        [found[0]],
    ).fetchall()
    return _Stored({row[0]: (row[1], row[2]) for row in columns}, tuple(row[0] for row in key))


def _recorded(
    connection: psycopg.Connection, server: Server, name: str
) -> tuple[int, dict[str, dict[str, str]]]:
    row = connection.execute(
        _statement("SELECT version, columns FROM {}", server, MIGRATIONS)
        + _sql(" WHERE table_name = %s ORDER BY version DESC LIMIT 1"),
        [name],
    ).fetchone()
    return (0, {}) if row is None else (row[0], row[1])


def _create(connection: psycopg.Connection, server: Server, home: Home) -> list[str]:
    from psycopg import sql

    never_null = home.table.required.union(home.key)
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(name), _sql(form.sql), _sql(" NOT NULL" if name in never_null else "")
        )
        for name, form in home.forms.items()
    ]
    columns.append(sql.SQL("PRIMARY KEY ({})").format(names(home.key)))
    connection.execute(
        sql.SQL("CREATE TABLE {} ({})").format(
            server.table(home.table.name), sql.SQL(", ").join(columns)
        )
    )
    # batches of a table that was dropped are not in this one
    connection.execute(
        _statement("DELETE FROM {} WHERE table_name = %s", server, BATCHES), [home.table.name]
    )
    return ["create"]


def _refuse_differences(
    server: Server, home: Home, stored: _Stored, recorded: Mapping[str, Mapping[str, str]]
) -> None:
    """DatabaseDiffers unless every row there is a row of the model as it is."""
    faults: list[str] = []
    statements: list[str] = []
    alter = f'ALTER TABLE "{server.schema}"."{home.table.name}"'
    units = {name: column.unit or "" for name, column in home.table.columns.items()}
    for name, form in home.forms.items():
        before = home.table.renamed.get(name, "")
        if name not in stored.columns:
            if before in stored.columns:
                faults.append(f"column {name} is named {before} there")
                statements.append(f'{alter} RENAME COLUMN "{before}" TO "{name}"')
            elif name in home.key:
                faults.append(f"column {name}, part of the key, is not there")
            continue
        sql = stored.columns[name][0]
        unit = recorded.get(name, {}).get("unit", units[name])
        if sql != form.sql:
            faults.append(f"column {name} is {sql} there, {form.sql} in the model")
            if (sql, form.sql) in _WIDER:
                statements.append(f'{alter} ALTER COLUMN "{name}" TYPE {form.sql}')
        if unit != units[name]:
            faults.append(
                f"column {name} is in {unit or 'no unit'} there, in {units[name] or 'no unit'} here"
            )
    known = {*home.forms, *home.table.renamed.values()}
    for name in stored.columns:
        if name not in known:
            faults.append(f"column {name} is in the database only")
            statements.append(f'{alter} DROP COLUMN "{name}"')
    if stored.key != home.key:
        there, here = (", ".join(key) or "nothing" for key in (stored.key, home.key))
        faults.append(f"rows are told apart by {there} there, by {here} in the code")
    if faults:
        raise DatabaseDiffers(server.schema, home.table.name, faults, statements)


def _widen(
    connection: psycopg.Connection, server: Server, home: Home, stored: _Stored
) -> list[str]:
    from psycopg import sql

    steps: list[str] = []
    alter = _statement("ALTER TABLE {} ", server, home.table.name)
    never_null = home.table.required.union(home.key)
    for name, form in home.forms.items():
        column = sql.Identifier(name)
        if name not in stored.columns:
            connection.execute(alter + _sql("ADD COLUMN {} {}").format(column, _sql(form.sql)))
            steps.append(f"add {name} {form.sql}")
        elif stored.columns[name][1] and name not in never_null:
            connection.execute(alter + _sql("ALTER COLUMN {} DROP NOT NULL").format(column))
            steps.append(f"allow null in {name}")
    return steps


def _comment(connection: psycopg.Connection, server: Server, home: Home) -> None:
    from psycopg import sql

    place = server.table(home.table.name)
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(place, sql.Literal(home.table.description))
    )
    for name, column in _described(home).items():
        connection.execute(
            sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                place, sql.Identifier(name), sql.Literal(column["comment"])
            )
        )


def _described(home: Home) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in documentation_of(home.table):
        unit = row["unit"]
        comment = f"{row['description']} [{unit}]" if unit else row["description"]
        name = row["column"]
        found[name] = {"type": home.forms[name].sql, "unit": unit, "comment": comment}
    return found


def names(columns: Sequence[str], of: str = "") -> psycopg.sql.Composed:
    """Columns as a list inside a statement, each behind the name of its table if one is given."""
    from psycopg import sql

    return sql.SQL(", ").join(
        sql.Identifier(of, name) if of else sql.Identifier(name) for name in columns
    )


def composed(text: str, **parts: psycopg.sql.Composable) -> psycopg.sql.Composed:
    """Text of this package with names and statements in it; never with a value."""
    return _sql(text).format(**parts)


def _sql(text: str) -> psycopg.sql.SQL:
    """Text of this package as part of a statement; never a value, never a name."""
    from psycopg import sql

    return sql.SQL(text)  # pyright: ignore[reportArgumentType]


def _statement(text: str, server: Server, name: str) -> psycopg.sql.Composed:
    return _sql(text).format(server.table(name))
