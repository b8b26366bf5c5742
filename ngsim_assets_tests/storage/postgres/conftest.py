"""A real PostgreSQL server, a schema of its own in it for every test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from pydantic import SecretStr

from ngsim_assets.storage.postgres.sink import PostgresSink

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server(postgres_server: str) -> str:
    """Connection string of the server."""
    return postgres_server


@pytest.fixture
def schema() -> str:
    """A schema that no other test uses."""
    return f"test_{next(_NUMBERS)}"


@pytest.fixture
def sink(server: str, schema: str) -> Iterator[PostgresSink]:
    """A sink into that schema that waits little between attempts."""
    with PostgresSink(SecretStr(server), schema=schema, first_wait=0.01) as opened:
        yield opened


@pytest.fixture
def frugal(server: str, schema: str) -> Iterator[PostgresSink]:
    """A sink into that schema that keeps no batch, however small: it is read, and read again."""
    with PostgresSink(SecretStr(server), schema=schema, first_wait=0.01, small=0) as opened:
        yield opened


@pytest.fixture
def console(server: str) -> Iterator[psycopg.Connection]:
    """Another client of the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection
