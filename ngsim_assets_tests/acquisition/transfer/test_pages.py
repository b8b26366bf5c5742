"""Small bodies: unpacked within bounds, and tried again where that may help."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from ngsim_assets.acquisition.events import BreakerChanged, Retrying
from ngsim_assets.acquisition.transfer.client import HttpClient
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    BodyTooLong,
    NotFound,
    NotTheFile,
    NotWhatWasAsked,
    ServerFailed,
    TransferError,
    UnreadableEncoding,
)
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline
from ngsim_assets_tests.acquisition.transfer.handlers import (
    SECRET,
    Asleep,
    body_of,
    one_after_another,
    page,
)
from ngsim_assets_tests.acquisition.transfer.serving import (
    QUICK,
    Handler,
    Server,
    Told,
    client_of,
    serving,
)


def got(handler: Handler, call: Callable[[HttpClient, Server], Awaitable[object]]) -> object:
    async def main() -> object:
        limits = replace(QUICK, retries=0)
        async with serving(handler) as server, client_of(limits) as client:
            return await call(client, server)

    return asyncio.run(main())


def as_json(handler: Handler, **options: int) -> object:
    return got(handler, lambda c, s: c.get_json(s.resource(), s.url, **options))


RECORD = {"rows": [1, 2, 3], "ü": "ä"}
PLAIN = json.dumps(RECORD).encode()


def packed(data: bytes) -> bytes:
    # without the time, which would give a test another name at every collection
    return gzip.compress(data, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("gzip", packed(PLAIN)),
        ("X-GZIP", packed(PLAIN)),
        ("gzip", packed(PLAIN[:5]) + packed(PLAIN[5:])),
        ("gzip", packed(PLAIN) + b"\0" * 99),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
    ],
)
def test_json_is_read_in_every_encoding_that_was_asked_for(encoding: str, body: bytes) -> None:
    assert as_json(page(body, Content_Encoding=encoding) if encoding else page(body)) == RECORD


@pytest.mark.parametrize("beyond", [-1, 0, 1, 5, 100, 257, 258, 259])
def test_nothing_stays_inside_where_a_piece_is_full(beyond: int) -> None:
    body = PLAIN + b" " * (2**20 - len(PLAIN) + beyond)
    assert as_json(page(raw_deflate(body), Content_Encoding="deflate")) == RECORD


def test_unpacking_does_not_depend_on_how_the_bytes_arrive() -> None:
    body = packed(PLAIN) + packed(b" " * 3_000_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "gzip, deflate"
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        for byte in body[:40]:
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
        await response.write(body[40:])
        return response

    assert as_json(answer) == RECORD


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        ("br", PLAIN, UnreadableEncoding),
        ("gzip, gzip", packed(packed(PLAIN)), UnreadableEncoding),
        ("gzip", PLAIN, UnreadableEncoding),
        ("gzip", packed(PLAIN) + b"junk", UnreadableEncoding),
        ("deflate", b"\xff" * 50, UnreadableEncoding),
        ("gzip", packed(PLAIN)[:-9], BodyCutShort),
        ("gzip", packed(PLAIN) + packed(PLAIN)[:12], BodyCutShort),
    ],
)
def test_what_cannot_be_unpacked_is_named(encoding: str, body: bytes, kind: type) -> None:
    with pytest.raises(kind):
        as_json(page(body, Content_Encoding=encoding))


def test_a_gigabyte_packed_into_one_megabyte_is_refused() -> None:
    bomb = packed(bytes(2**26)) * 16
    assert len(bomb) < 1_100_000

    async def call(client: HttpClient, server: Server) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(BodyTooLong):
                await client.get(server.resource(), server.url, max_bytes=4 * 2**20)
            assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
        finally:
            tracemalloc.stop()

    got(page(bomb, Content_Encoding="gzip"), call)


def test_small_bodies_are_refused_when_they_are_not_small() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    for handler in (page(b"x" * 1001), endless):
        with pytest.raises(BodyTooLong):
            as_json(handler, max_bytes=1000)
    with pytest.raises(NotWhatWasAsked):
        as_json(page(b"x" * 1000), max_bytes=1000)


def test_a_page_for_people_is_not_json_even_with_status_200() -> None:
    with pytest.raises(NotTheFile, match="an HTML page came where JSON"):
        as_json(page(b"<!DOCTYPE html><h1>Down for maintenance", Content_Type="application/json"))


def test_a_page_tells_where_it_came_from_without_secrets() -> None:
    async def call(client: HttpClient, server: Server) -> None:
        params = {"$$app_token": SECRET, "n": "1"}
        answer = await client.get(server.resource(), server.url + "/x", params=params)
        assert (answer.status, answer.body) == (200, b"here")
        assert answer.url == server.url + "/x?$$app_token=REDACTED&n=1"
        assert server.requests[0].query["$$app_token"] == SECRET

    got(page(), call)


def test_304_is_an_answer_to_who_holds_a_copy() -> None:
    async def call(client: HttpClient, server: Server) -> None:
        held = {"If-None-Match": '"1"'}
        answer = await client.get(server.resource(), server.url, headers=held)
        assert (answer.status, answer.body) == (304, b"")

    got(page(b"", status=304), call)


# again


def tried(
    *handlers: Handler, retries: int = 3, breaker_failures: int = 3
) -> tuple[object, list[float], Told, int]:
    time, told = Asleep(), Told()
    limits = replace(QUICK, retries=retries, stall_timeout=0.25, breaker_failures=breaker_failures)

    async def main() -> tuple[object, int]:
        async with (
            serving(one_after_another(*handlers)) as server,
            client_of(limits, tell=told, clock=time.clock) as client,
        ):
            try:
                outcome: object = (await client.get(server.resource(), server.url)).body
            except TransferError as error:
                outcome = error
            return outcome, len(server.requests)

    outcome, requests = asyncio.run(main())
    return outcome, time.slept, told, requests


def test_a_failure_that_passes_is_tried_again_and_told() -> None:
    outcome, slept, told, requests = tried(page(status=500), page(status=502), page())
    assert outcome == b"here"
    assert (slept, requests) == ([1.0, 2.0], 3)
    assert [event.attempt for event in told.events if isinstance(event, Retrying)] == [2, 3]
    assert all("the server failed" in e.reason for e in told.events if isinstance(e, Retrying))


def test_the_servers_own_wait_is_kept() -> None:
    outcome, slept, _, _ = tried(page(status=429, Retry_After="17"), page())
    assert outcome == b"here"
    assert slept == [17.0]


def test_cut_bodies_stalls_and_resets_are_tried_again() -> None:
    outcome, slept, _, _ = tried(
        body_of(100, b"x", 0.02, end="close"), body_of(100, b"x", 30.0), page()
    )
    assert outcome == b"here"
    assert slept == [1.0, 2.0]


def test_json_that_breaks_off_or_never_ends_its_brackets_is_asked_for_again() -> None:
    outcomes = [page(PLAIN[:9]), page(b"[" * 100_000), page(PLAIN)]
    time = Asleep()

    async def main() -> object:
        async with (
            serving(one_after_another(*outcomes)) as server,
            client_of(clock=time.clock) as client,
        ):
            return await client.get_json(server.resource(), server.url)

    assert asyncio.run(main()) == RECORD
    assert time.slept == [1.0, 2.0]


def test_a_refusal_is_not_tried_again() -> None:
    outcome, slept, _, requests = tried(page(status=404), page())
    assert isinstance(outcome, NotFound)
    assert (slept, requests) == ([], 1)


def test_a_host_that_fails_four_times_is_given_up() -> None:
    outcome, slept, _, requests = tried(*[page(status=500)] * 5, breaker_failures=9)
    assert isinstance(outcome, ServerFailed)
    assert (slept, requests) == ([1.0, 2.0, 4.0], 4)


def test_three_failures_open_the_breaker_and_the_probe_after_it_brings_the_page() -> None:
    async def main() -> None:
        now = 0.0
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            nonlocal now
            slept.append(seconds)
            now += seconds

        from ngsim_assets.acquisition.transfer.breaker import Breakers

        clock = Clock(lambda: now, lambda: now, sleep, lambda: 0.0)
        told, breakers = Told(), Breakers(None, clock=clock)
        handler = one_after_another(*[page(status=503)] * 3, page())
        async with (
            serving(handler) as server,
            client_of(breakers=breakers, tell=told, clock=clock) as client,
        ):
            answer = await client.get(server.resource(), server.url, deadline=Deadline(600, clock))
            assert answer.body == b"here"
        assert slept == [1.0, 2.0, 4.0, 56.0]
        changes = [e.state for e in told.events if isinstance(e, BreakerChanged)]
        assert changes == ["open", "half_open", "closed"]

    asyncio.run(main())
