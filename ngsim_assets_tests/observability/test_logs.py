"""Lines for people and for machines: what is in them, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import logs
from ngsim_assets.observability.redaction import HIDDEN, Redactor
from ngsim_assets.settings import Settings


class Lines(io.StringIO):
    """What was written, a parsed line each."""

    def parsed(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Where lines for machines go, from level info."""
    stream = Lines()
    logs.configure(Settings(), mode="json", level="info", stream=stream)
    yield stream
    logs.configure(Settings(), mode="human", level="info")


def test_a_line_is_one_object_with_what_is_bound(lines: Lines) -> None:
    log = logs.get_logger(logger="intake")
    with logs.bound(run="r1", partition="us-101|2005-06-15T0750", source=None):
        log.info("stored\nin two lines", rows=3, path=Path("a/b"), share=float("nan"))
    log.warning("outside")
    inside, outside = lines.parsed()
    assert list(inside)[:3] == ["timestamp", "level", "event"]
    assert inside["timestamp"].endswith("Z")  # type: ignore[union-attr]
    assert (inside["level"], inside["event"]) == ("info", "stored\nin two lines")
    assert (inside["run"], inside["partition"]) == ("r1", "us-101|2005-06-15T0750")
    assert (inside["rows"], inside["path"], inside["share"]) == (3, "a/b", "nan")
    assert "source" not in inside
    assert "run" not in outside


def test_tasks_do_not_see_what_others_bind(lines: Lines) -> None:
    log = logs.get_logger()

    async def work(source: str) -> None:
        with logs.bound(source=source):
            for step in range(5):
                await asyncio.sleep(0)
                log.info("step", step=step)
            await asyncio.to_thread(log.info, "in a thread")

    async def all_of_them() -> None:
        with logs.bound(run="r1"):
            await asyncio.gather(*(work(f"s{n}") for n in range(8)))

    asyncio.run(all_of_them())
    told = lines.parsed()
    assert len(told) == 8 * 6
    assert {line["run"] for line in told} == {"r1"}
    for n in range(8):
        mine = [line for line in told if line["source"] == f"s{n}"]
        assert [line.get("step") for line in mine] == [0, 1, 2, 3, 4, None]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_an_error_is_told_in_parts(lines: Lines, level: logs.Level) -> None:
    logs.configure(Settings(), mode="json", level=level, stream=lines)
    cut = NgsimAssetsError("the file is cut", "deliver it again").with_traceback(None)
    logs.get_logger().error("not taken in", error=cut)
    (line,) = lines.parsed()
    told = line["error"]
    assert isinstance(told, dict)
    traceback = told.pop("traceback", "")
    assert told == {
        "type": "NgsimAssetsError",
        "problem": "the file is cut",
        "fix": "deliver it again",
    }
    assert ("NgsimAssetsError: the file is cut" in traceback) == (level == "debug")


def test_a_step_tells_its_end_whatever_it_is(lines: Lines) -> None:
    with logs.step("validation") as told:
        told["rows"] = 7
    with pytest.raises(ValueError, match="broken"), logs.step("cleaning"):
        raise ValueError("broken")
    begun, done, _, failed = lines.parsed()
    assert (begun["event"], begun["step"]) == ("begins", "validation")
    assert (done["event"], done["rows"]) == ("done", 7)
    assert isinstance(done["seconds"], float)
    assert (failed["level"], failed["event"]) == ("error", "failed")
    assert failed["error"] == {"type": "ValueError", "problem": "broken"}


def test_the_command_line_speaks_through_the_log(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    console.note("3 of 4 are up to date")
    code = console.fail(NgsimAssetsError("no room", "free some"), debug=False)
    with console.file_progress() as progress:
        progress.add_task("reading", total=10)
    noted, failed = lines.parsed()
    assert (noted["level"], noted["event"]) == ("info", "3 of 4 are up to date")
    assert (failed["level"], failed["event"]) == ("error", "no room (free some)")
    assert failed["error"] == {"type": "NgsimAssetsError", "problem": "no room", "fix": "free some"}
    assert code == 1
    assert capsys.readouterr() == ("", "")


def test_libraries_and_warnings_come_through(lines: Lines) -> None:
    logging.getLogger("some.library").info("of no concern")
    logging.getLogger("some.library").warning("slow by %d s", 3)
    logging.getLogger("ngsim_assets.highway").info("ours")
    elsewhere = logging.getLogger("has.its.own")
    handler = logging.StreamHandler(io.StringIO())
    elsewhere.addHandler(handler)
    logging.getLogger("has.its.own.child").error("told there")
    elsewhere.removeHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("an old name", DeprecationWarning, stacklevel=1)
    slow, ours, old = lines.parsed()
    assert (slow["event"], slow["logger"], slow["level"]) == (
        "slow by 3 s",
        "some.library",
        "warning",
    )
    assert (ours["event"], ours["level"]) == ("ours", "info")
    assert "an old name" in str(old["event"])


def test_people_get_short_lines_and_what_they_always_had(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Settings(), mode="human", level="info")
    log = logs.get_logger()
    with logs.bound(run="r1", source="portal"), logs.step("validation"):
        log.info("stored", rows=3, seconds=1.23456)
        log.error("not fetched", error=NgsimAssetsError("no answer", "try later"))
    console.note("a note")
    assert capsys.readouterr().err.splitlines() == [
        "stored rows=3 seconds=1.23 source=portal",
        "error: not fetched error=NgsimAssetsError no answer source=portal",
        "a note",
    ]


def test_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NGSIM_LOG", "json")
    monkeypatch.setenv("NGSIM_LOG_LEVEL", "warning")
    monkeypatch.setenv("NGSIM_SODA_APP_TOKEN", "s3cret-token")
    logs.configure_from_environment()
    logs.get_logger().info("not this")
    logs.get_logger().warning("X-App-Token is s3cret-token")
    monkeypatch.setenv("NGSIM_SETTLE", "soon")  # told by the command; the lines stay JSON
    logs.configure_from_environment()
    logs.get_logger().info("still JSON")
    logs.configure(Settings(settle=1), mode="human", level="info")
    hidden, still = map(json.loads, capsys.readouterr().err.splitlines())
    assert hidden["event"] == f"X-App-Token is {HIDDEN}"
    assert still["event"] == "still JSON"


def test_a_line_below_the_level_costs_next_to_nothing(lines: Lines) -> None:
    log = logs.get_logger()
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2_000):
            log.debug("not told", rows=1, path="x")
        best = min(best, (time.perf_counter() - began) / 2_000)
    assert best < 10e-6
    assert not lines.getvalue()


# secrets -------------------------------------------------------------------------------------

_SECRETS = st.text(min_size=4, max_size=40).filter(lambda text: text.strip(" *") == text)
_PLACES = st.sampled_from(
    ["{0}", "a {0} b", "https://host/x?a=1&q={1}", "https://host/{1}", "{2!r}", "X: {0}", "q={3}"]
)


@given(secret=_SECRETS, places=st.lists(_PLACES, min_size=1, max_size=4), deep=st.booleans())
def test_the_value_of_a_secret_setting_never_appears(
    secret: str, places: list[str], deep: bool
) -> None:
    redactor = Redactor.of(Settings(soda_app_token=SecretStr(secret)))
    texts = [
        place.format(secret, quote(secret, safe=""), secret, quote_plus(secret)) for place in places
    ]
    value = {"told": {"texts": texts}, secret: 1} if deep else [*texts, ValueError(secret)]
    left = _texts(redactor.value(value))
    for form in {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}:
        assert not any(form in text for text in left), (form, left)


_WORD = st.text(
    st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=6, max_size=20
).map(lambda text: f"Zq{text}qZ")
_NAMED = st.sampled_from(
    ["token", "access_token", "$$app_token", "%24%24app_token", "api_key", "X-Amz-Signature", "key"]
)
_FIELDS = st.sampled_from(
    ["authorization", "Authorization", "X-App-Token", "cookie", "Set-Cookie", "password", "api_key"]
)


@given(word=_WORD, name=_NAMED, user=st.sampled_from(["", "me", "me:{0}"]), more=st.booleans())
def test_what_a_url_hides_is_hidden(word: str, name: str, user: str, more: bool) -> None:
    at = f"{user.format(word)}@" if user else ""
    url = f"https://{at}host.example:8443/a/b?rows=5&{name}={word}{'&page=2' if more else ''}"
    told = Redactor().text(f"cannot fetch {url} now")
    assert word not in told
    assert "me:" not in told
    for kept in ("host.example:8443/a/b?rows=5", name, "now", "&page=2" if more else ""):
        assert kept in told


@given(word=_WORD, field=_FIELDS, scheme=st.sampled_from(["", "Bearer ", "Basic "]))
def test_what_a_header_hides_is_hidden(word: str, field: str, scheme: str) -> None:
    redactor = Redactor()
    assert redactor.value({"headers": {field: scheme + word, "etag": "abc"}}) == {
        "headers": {field: HIDDEN, "etag": "abc"}
    }
    if field not in {"password", "api_key"}:
        for text in (f"{field}: {scheme}{word}", f"{{'{field}': '{scheme}{word}'}}"):
            assert word not in redactor.text(text)


@pytest.mark.parametrize(
    ("dsn", "password"),
    [
        ("postgresql://user:s3cr3t-w0rd@db:5432/laps", "s3cr3t-w0rd"),
        ("postgresql://user:s3%40cr%2Ft@db/laps?sslmode=require", "s3@cr/t"),
        ("postgresql://user:s3@cr/t@db/laps", "s3@cr/t"),
        ("postgresql://db/laps?user=u&password=s3cr%20t", "s3cr t"),
        ("host=db password=s3cr3t user=user", "s3cr3t"),
        (r"password = 's3 cr\'t' host=db", "s3 cr't"),
    ],
)
def test_a_connection_string_and_the_password_in_it_never_appear(dsn: str, password: str) -> None:
    redactor = Redactor.of(Settings(postgres_dsn=SecretStr(dsn)))
    for said in (dsn, quote(dsn, safe=""), password, quote(password, safe=""), repr(password)):
        told = redactor.text(f"FATAL: {said} for user at db")
        assert HIDDEN in told
        assert password not in told
        assert quote(password, safe="") not in told
        assert told.endswith("for user at db")


def test_what_is_no_secret_is_left_alone() -> None:
    redactor = Redactor(["abc"])  # too short to be one
    texts = [
        "us-101|2005-06-15T0750: 50,871 rows",
        "https://data.transportation.gov/resource/8ect-6jqj.csv?$limit=5&$order=:id",
        "author: somebody",
        "abc",
    ]
    assert [redactor.text(text) for text in texts] == texts
    assert redactor.value({"key": "us-101|x", "author": "me"}) == {
        "key": "us-101|x",
        "author": "me",
    }


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]
