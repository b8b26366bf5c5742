"""What can go wrong with PostgreSQL, each with what to do about it.

Belongs here: the types of failures. Does not belong here: which of the driver's errors is which
(connecting.py). No message holds the connection string or any part of it but the host.
"""

from __future__ import annotations

from collections.abc import Sequence

from ngsim_assets.storage.errors import StorageError


class PostgresError(StorageError):
    """Base of every failure of the second home.

    `transient` says whether the same attempt may succeed a moment later.
    """

    transient = False


class NoDriver(PostgresError):
    """The package was installed without PostgreSQL's driver."""

    def __init__(self) -> None:
        super().__init__(
            "the driver of PostgreSQL (psycopg) is not installed",
            "pip install 'ngsim_assets[postgres]'",
        )


class NoServerNamed(PostgresError):
    """No setting says which server."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "no PostgreSQL server is named",
            "set NGSIM_POSTGRES_DSN, such as postgresql://user@host:5432/database",
        )


class BadServerName(PostgresError):
    """A connection string that cannot be read; it is not repeated, it may hold a password."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "NGSIM_POSTGRES_DSN is no connection string",
            "write postgresql://user:password@host:5432/database, with @ : / ? # % in a password"
            " percent-encoded, or leave the password to ~/.pgpass",
        )


class NoServer(PostgresError):
    """Nobody answers where the server should be."""

    transient = True

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"no PostgreSQL server answers at {host}",
            "start it, or correct host and port in NGSIM_POSTGRES_DSN",
        )


class ConnectionLost(PostgresError):
    """The connection ended under way; the transaction left nothing behind."""

    transient = True

    def __init__(self, host: str) -> None:
        super().__init__(
            f"the connection to PostgreSQL at {host} was lost; what was not committed is undone",
            "run it again; the server's log tells why it ended the connection",
        )


class Contended(PostgresError):
    """Others were at the same rows: a deadlock, a serialization failure, a lock not had in time."""

    transient = True

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"PostgreSQL gave this transaction up for another one: {reason}",
            "run it again when fewer processes write",
        )


class TooManyConnections(PostgresError):
    """The server takes no more connections."""

    transient = True

    def __init__(self, host: str) -> None:
        super().__init__(
            f"PostgreSQL at {host} has no connection left",
            "end other clients, or raise max_connections",
        )


class LoginRefused(PostgresError):
    """The server answers but does not let this user in."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"PostgreSQL at {host} refuses the login: {reason}",
            "correct user, password and database in NGSIM_POSTGRES_DSN, or have the server's"
            " pg_hba.conf allow them",
        )


class NoRight(PostgresError):
    """The user may log in but may not do this."""

    def __init__(self, schema: str, reason: str) -> None:
        super().__init__(
            f"PostgreSQL does not allow it: {reason}",
            f"let the owner of the database run CREATE SCHEMA {schema} AUTHORIZATION <user>; with"
            " <user> the one of NGSIM_POSTGRES_DSN, or GRANT it what is missing",
        )


class ServerReadOnly(PostgresError):
    """A standby, or a server that was set to read only."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"PostgreSQL at {host} is read-only",
            "name the primary in NGSIM_POSTGRES_DSN; target_session_attrs=read-write finds it",
        )


class ServerDiskFull(PostgresError):
    """The server has no space left; the transaction left nothing behind."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"PostgreSQL at {host} has no space left on its disk; nothing was written",
            "free some space there and run the same command again",
        )


class ServerTooOld(PostgresError):
    """A server whose arithmetic on times is not exact."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"PostgreSQL {version // 10_000} is too old", "use PostgreSQL 14 or a later one"
        )


class PostgresFailed(PostgresError):
    """A failure of the server that has no name here."""

    def __init__(self, sqlstate: str, reason: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(
            f"PostgreSQL failed with {sqlstate or 'no code'}: {reason}",
            "the server's log tells more; nothing was written",
        )


class UnstorableColumn(PostgresError):
    """A column of a type that PostgreSQL has no exact form for."""

    def __init__(self, table: str, column: str, dtype: str) -> None:
        super().__init__(
            f"table {table}: column {column} of type {dtype} has no exact form in PostgreSQL",
            "declare it in microseconds, as a scalar, or as a list of scalars",
        )


class BadIdentity(PostgresError):
    """What should tell rows apart does not, or names no column."""

    def __init__(self, table: str, problem: str) -> None:
        super().__init__(
            f"table {table}: {problem}", "name columns of the model that together tell rows apart"
        )


class RowsRefused(PostgresError):
    """Rows that PostgreSQL cannot hold; nothing was written."""

    def __init__(self, table: str, reason: str, fix: str = "") -> None:
        self.table = table
        super().__init__(
            f"table {table}: rows do not fit PostgreSQL: {reason}; nothing was written",
            fix or "correct the rows where they are made; the lake holds them as they are",
        )


class TextWithNul(RowsRefused):
    """Text with the one character that PostgreSQL's text cannot have."""

    def __init__(self, table: str, column: str, rows: int) -> None:
        super().__init__(
            table,
            f"column {column} has the character NUL in {rows:,} of the rows looked at",
            "remove it where the rows are made, or keep the column out of the model",
        )


class DatabaseDiffers(PostgresError):
    """A table whose columns in the database are not those of the model; nothing was changed."""

    def __init__(
        self, schema: str, table: str, faults: Sequence[str], statements: Sequence[str]
    ) -> None:
        self.table = table
        self.faults = tuple(faults)
        self.statements = tuple(statements)
        by_hand = " ".join(f"{statement};" for statement in statements)
        whole = f'DROP TABLE "{schema}"."{table}"; and write it again from the lake'
        super().__init__(
            f"table {table} in PostgreSQL is not as the model has it: {'; '.join(faults)}",
            f"where the database is newer than the code, update the code; else migrate it: "
            f"{by_hand + ' or ' if by_hand else ''}{whole}",
        )
