"""Servers that are absent, full or closed: named, with the fix, without the password."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from ngsim_assets.settings import load_settings
from ngsim_assets.storage.postgres import errors
from ngsim_assets.storage.postgres.sink import PostgresSink
from ngsim_assets_tests.storage.postgres.tables import KEY, LAPS, PARTITION, laps

PASSWORD = "s3cr3t-w0rd"  # noqa: S105

_FAILING = """
CREATE SEQUENCE {schema}.attempts;
CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM nextval('{schema}.attempts');
    RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}';
END $$;
CREATE TRIGGER fail BEFORE INSERT ON {schema}.laps
    FOR EACH ROW WHEN (NEW.number = 7) EXECUTE FUNCTION {schema}.fail();
"""


@pytest.fixture
def guest(server: str, console: psycopg.Connection) -> Iterator[str]:
    """Connection string, without password, of a user who may log in, with one, and no more."""
    row = console.execute("SHOW hba_file").fetchone()
    assert row is not None
    console.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'".encode())
    with open(row[0], encoding="utf-8") as file:  # noqa: PTH123
        before = file.read()
    with open(row[0], "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"local all guest scram-sha-256\n{before}")
    console.execute("SELECT pg_reload_conf()")
    yield server.replace("postgres:@", "guest:PASSWORD@")
    with open(row[0], "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(before)
    console.execute("SELECT pg_reload_conf()")
    console.execute("DROP ROLE guest")


def _refusal(dsn: str, schema: str = "none") -> errors.PostgresError:
    """How a server refuses, after a look for secrets at all that would be printed of it."""
    with (
        pytest.raises(errors.PostgresError) as refused,
        PostgresSink(SecretStr(dsn), schema=schema, retries=1, first_wait=0.01) as sink,
    ):
        sink.prepare(LAPS, KEY)
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__)
    for secret in (PASSWORD, "wr0ng", "p@rt", "@rt"):
        assert secret not in told
    assert refused.value.__cause__ is None or not isinstance(
        refused.value, errors.LoginRefused | errors.NoServer | errors.BadServerName
    )
    return refused.value


def test_a_login_that_is_refused_says_why_and_not_with_what(guest: str, schema: str) -> None:
    wrong = _refusal(guest.replace("PASSWORD", "wr0ng"))
    assert isinstance(wrong, errors.LoginRefused)
    assert "wrong user or password" in wrong.problem
    assert "NGSIM_POSTGRES_DSN" in wrong.fix
    none = _refusal(guest.replace(":PASSWORD", ""))
    assert "a password is needed" in none.problem
    absent = _refusal(guest.replace("PASSWORD", PASSWORD).replace("/postgres?", "/nowhere?"))
    assert "there is no such database" in absent.problem
    weak = _refusal(guest.replace("PASSWORD", PASSWORD), schema)
    assert isinstance(weak, errors.NoRight)
    assert f"CREATE SCHEMA {schema}" in weak.fix


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", errors.NoServer),
        (f"host=/nowhere password={PASSWORD}", errors.NoServer),
        (PASSWORD, errors.BadServerName),
        (f"postgresql://me:{PASSWORD}%zz@127.0.0.1/db", errors.BadServerName),
        (f"postgresql://me:x/{PASSWORD}@127.0.0.1/db", errors.PostgresError),
        ("postgresql://me:p@rt@127.0.0.1:1/db", errors.NoServer),
    ],
)
def test_a_server_that_is_not_there_is_told_without_the_string(
    dsn: str, kind: type[errors.PostgresError]
) -> None:
    assert isinstance(_refusal(dsn), kind)


def test_the_setting_hides_its_value_and_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_POSTGRES_DSN", f"postgresql://me:{PASSWORD}@host/db")
    assert PASSWORD not in repr(load_settings())
    monkeypatch.delenv("NGSIM_POSTGRES_DSN")
    with pytest.raises(errors.NoServerNamed, match="set NGSIM_POSTGRES_DSN"):
        PostgresSink(load_settings().postgres_dsn)


@pytest.mark.parametrize(
    ("state", "kind", "attempts"),
    [
        ("53100", errors.ServerDiskFull, 1),
        ("25006", errors.ServerReadOnly, 1),
        ("40001", errors.Contended, 3),
        ("40P01", errors.Contended, 3),
        ("XX000", errors.PostgresFailed, 1),
    ],
)
def test_what_the_server_says_in_the_middle_has_a_name_and_leaves_nothing(
    server: str,
    schema: str,
    console: psycopg.Connection,
    state: str,
    kind: type[errors.PostgresError],
    attempts: int,
) -> None:
    """A trigger raises each code as the server would; a sequence counts, whatever is undone."""
    with PostgresSink(SecretStr(server), schema=schema, retries=2, first_wait=0.01) as sink:
        sink.prepare(LAPS, KEY)
        console.execute(_FAILING.replace("{schema}", schema).replace("{state}", state).encode())
        with pytest.raises(kind):
            sink.write(LAPS, PARTITION, laps(10))
        assert sink.write(LAPS, PARTITION, laps(5)).inserted == 5
    counter = psycopg.sql.Identifier(schema, "attempts")
    seen = console.execute(psycopg.sql.SQL("SELECT last_value FROM {}").format(counter)).fetchone()
    assert seen == (attempts,)


def test_without_the_driver_the_package_is_whole_and_a_sink_names_the_extra() -> None:
    program = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from pydantic import SecretStr\n"
        "from ngsim_assets.storage.postgres.errors import NoDriver\n"
        "from ngsim_assets.storage.postgres.sink import PostgresSink\n"
        "try:\n"
        "    PostgresSink(SecretStr('postgresql://localhost/db'))\n"
        "except NoDriver as error:\n"
        "    print(error.fix)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "pip install 'ngsim_assets[postgres]'\n"
