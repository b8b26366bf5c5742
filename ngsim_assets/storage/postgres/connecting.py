"""Connections to the server: opened, lost, tried again.

Belongs here: the driver's import, connection parameters, which failure of the driver is which of
ours, attempts and the waits between them. Does not belong here: tables, rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from ngsim_assets.storage.postgres import errors

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql as psycopg_sql

Result = TypeVar("Result")

OLDEST = 140_000
LONGEST_WAIT = 30.0
_USUAL = {
    "application_name": "ngsim_assets",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""What a connection string may override: a host that vanished is noticed in a minute."""

_ALWAYS = {"client_encoding": "UTF8"}
_SESSION = (
    "SET lock_timeout = '60s'",
    "SET DateStyle = 'ISO'",
    "SET IntervalStyle = 'postgres'",
    "SET TimeZone = 'UTC'",
    "SET extra_float_digits = 1",
)
_LOST = ("57P01", "57P02", "57P05")
_TWICE = "several rows have the same key; nothing was written"
_SAME_KEY = ("21000", "23505")
_CONTENDED = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "a lock was not had in time",
}


class Server:
    """One server as one process works with it: a connection that is opened again when lost."""

    def __init__(
        self,
        dsn: SecretStr | None,
        *,
        schema: str,
        retries: int = 5,
        first_wait: float = 0.5,
    ) -> None:
        """`retries`: attempts after the first; `first_wait`: seconds at most before the second."""
        if dsn is None:
            raise errors.NoServerNamed
        self.schema = schema
        self._dsn = dsn
        self._retries = retries
        self._first_wait = first_wait
        self._connection: psycopg.Connection | None = None
        _driver()
        self.host = _host(dsn)

    def close(self) -> None:
        """End the connection; the next attempt opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def attempt(self, table: str, work: Callable[[psycopg.Connection], Result]) -> Result:
        """The result of `work`, done in one transaction; tried again after transient failures.

        `table` is the one that a failure is told of.
        """
        from tenacity import (
            Retrying,
            retry_if_exception,
            stop_after_attempt,
            wait_random_exponential,
        )

        attempts = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(self._retries + 1),
            wait=wait_random_exponential(self._first_wait, LONGEST_WAIT),
            reraise=True,
        )
        return attempts(self._once, table, work)

    def table(self, name: str) -> psycopg_sql.Identifier:
        """A table of the schema as part of a statement."""
        from psycopg import sql

        return sql.Identifier(self.schema, name)

    def _once(self, table: str, work: Callable[[psycopg.Connection], Result]) -> Result:
        connection = self._opened(table)
        with self._named_failures(connection, table), connection.transaction():
            return work(connection)

    def _opened(self, table: str) -> psycopg.Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection, refused = _connected(self._dsn, self.host)
        # raised here, where the driver's own words, which may hold the password, are not kept
        if connection is None:
            raise refused or errors.NoServer(self.host)
        self._connection = connection
        with self._named_failures(connection, table):
            if connection.info.server_version < OLDEST:
                raise errors.ServerTooOld(connection.info.server_version)
            for statement in _SESSION:
                connection.execute(statement)  # pyright: ignore[reportArgumentType]
            connection.commit()
        return connection

    @contextmanager
    def _named_failures(self, connection: psycopg.Connection, table: str) -> Iterator[None]:
        from psycopg import Error

        try:
            yield
        except Error as error:
            named = self._named(error, table, lost=connection.broken or connection.closed)
            if isinstance(named, errors.ConnectionLost):
                self.close()
            raise named from error

    def _named(self, error: psycopg.Error, table: str, *, lost: bool) -> errors.PostgresError:
        state = error.sqlstate or ""
        reason = (error.diag.message_primary or str(error)).strip()
        named: dict[str, Callable[[], errors.PostgresError]] = {
            "53100": lambda: errors.ServerDiskFull(self.host),
            "42501": lambda: errors.NoRight(self.schema, reason),
            "25006": lambda: errors.ServerReadOnly(self.host),
            **dict.fromkeys(_SAME_KEY, lambda: errors.BadIdentity(table, _TWICE)),
            **dict.fromkeys(_LOST, lambda: errors.ConnectionLost(self.host)),
            **dict.fromkeys(_CONTENDED, lambda: errors.Contended(_CONTENDED[state])),
        }
        if state in named:
            return named[state]()
        if state.startswith("08") or (lost and not state):
            return errors.ConnectionLost(self.host)
        if state.startswith(("22", "23")):
            place = (error.diag.context or "").splitlines()
            return errors.RowsRefused(table, "; ".join([reason, *place[:1]]))
        return errors.PostgresFailed(state, reason)


def _driver() -> None:
    try:
        import psycopg
    except ImportError:
        raise errors.NoDriver from None
    del psycopg


def _connected(
    dsn: SecretStr, host: str
) -> tuple[psycopg.Connection | None, errors.PostgresError | None]:
    """A connection, or what stood against it in words that hold nothing of the string."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(dsn.get_secret_value())
    try:
        return psycopg.connect(**{**_USUAL, **given, **_ALWAYS}), None
    except psycopg.Error as error:
        return None, _refusal(str(error), host)


def _refusal(said: str, host: str) -> errors.PostgresError:
    """The driver gives no code for a connection that failed: its words are looked through."""
    refusals = {
        "password authentication failed": "wrong user or password",
        "no password supplied": "a password is needed and none was given",
        "authentication failed": "wrong user or password",
        "no pg_hba.conf entry": "the server allows no such login from here",
        "permission denied for database": "the user may not connect to the database",
        "is not permitted to log in": "the user may not log in",
    }
    for words, reason in refusals.items():
        if words in said:
            return errors.LoginRefused(host, reason)
    absent = re.search(r"FATAL: +(database|role) \".*\" does not exist", said)
    if absent:
        return errors.LoginRefused(host, f"there is no such {absent[1]}")
    if "too many clients" in said or "remaining connection slots" in said:
        return errors.TooManyConnections(host)
    if "connection option" in said or "integer value" in said:
        return errors.BadServerName()
    return errors.NoServer(host)


def _host(dsn: SecretStr) -> str:
    """The host of a connection string, where it cannot be part of a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    given = None
    with suppress(ProgrammingError):
        given = conninfo_to_dict(dsn.get_secret_value())
    if given is None:
        raise errors.BadServerName
    host = str(given.get("host") or "the usual place")
    return host if re.fullmatch(r"[\w./:, -]+", host) else "the host given"


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, errors.PostgresError) and error.transient
