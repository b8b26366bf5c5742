"""Bodies that stop, drip, break off or never begin."""

import asyncio

import pytest
from aiohttp import web

from ngsim_assets.acquisition.events import BreakerChanged
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    Stalled,
)
from ngsim_assets_tests.acquisition.transfer.handlers import (
    IMPATIENT,
    body_of,
    failure_of,
    one_after_another,
    page,
    raw,
    read,
)
from ngsim_assets_tests.acquisition.transfer.serving import (
    Told,
    client_of,
    serving,
)


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("length", [1000, None])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_body_that_ends_early_is_cut_short(end: str, length: int | None, pause: float) -> None:
    error = failure_of(body_of(length, b"x" * 100, pause, end=end))
    assert isinstance(error, BodyCutShort)
    assert error.transient
    assert error.expected == length
    assert error.received <= 100


@pytest.mark.parametrize("end", ["reset", "close"])
def test_bytes_that_came_before_the_end_are_given_however_late_they_are_read(end: str) -> None:
    async def main() -> None:
        handler = body_of(1_000_000, b"x" * 100, 0.05, b"y" * 50, 0.05, end=end)
        async with serving(handler) as server, client_of() as client:
            async with client.request(server.url) as reply:
                await asyncio.sleep(0.3)
                got = b""
                with pytest.raises(BodyCutShort, match="150 of 1,000,000 bytes"):  # noqa: PT012
                    async for block in reply.blocks():
                        got += block
            assert got == b"x" * 100 + b"y" * 50

    asyncio.run(main())


def test_a_body_that_stops_is_stalled() -> None:
    error = failure_of(body_of(9000, b"x" * 5000, 30.0), limits=IMPATIENT)
    assert isinstance(error, Stalled)
    assert error.transient


def test_a_reply_that_does_not_begin_is_stalled() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    assert isinstance(failure_of(answer, limits=IMPATIENT), Stalled)


def test_a_head_that_drips_is_stalled() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        for _ in range(300):
            await asyncio.sleep(0.05)
            writer.write(b"a")

    async def main() -> None:
        async with raw(talk) as url, client_of(IMPATIENT) as client:
            with pytest.raises(Stalled):
                await asyncio.wait_for(read(client, url), 5)

    asyncio.run(main())


def test_a_drip_is_stalled_though_it_never_pauses_for_long() -> None:
    drip = [step for _ in range(100) for step in (b"x", 0.05)]
    error = failure_of(body_of(100, *drip), limits=IMPATIENT)
    assert isinstance(error, Stalled)


def test_a_slow_body_that_is_fast_enough_comes_through() -> None:
    async def main() -> None:
        slow = [step for _ in range(20) for step in (b"x" * 4000, 0.04)]
        async with serving(body_of(80_000, *slow)) as server, client_of(IMPATIENT) as client:
            assert await read(client, server.url) == b"x" * 80_000

    asyncio.run(main())


def test_time_that_the_reader_takes_is_not_the_servers() -> None:
    async def main() -> None:
        async with serving(page(b"x" * 4_000_000)) as server, client_of(IMPATIENT) as client:
            got = 0
            async with client.request(server.url) as reply:
                async for block in reply.blocks():
                    if got == 0:
                        await asyncio.sleep(3 * IMPATIENT.stall_timeout)
                    got += len(block)
            assert got == 4_000_000

    asyncio.run(main())


def test_a_body_that_fails_before_its_first_byte_counts_against_the_host() -> None:
    async def main() -> None:
        handler = one_after_another(
            body_of(100, 0.05, end="reset"),
            body_of(100, b"x", 0.05, end="reset"),
            *[body_of(100, 0.05, end="reset")] * 3,
        )
        told = Told()
        async with serving(handler) as server, client_of(tell=told) as client:
            for _ in range(5):
                assert told.events == []
                with pytest.raises(BodyCutShort):
                    await read(client, server.url)
            (event,) = told.events
            assert isinstance(event, BreakerChanged)
            assert event.state == "open"

    asyncio.run(main())


def test_nothing_is_left_running_when_readers_are_cancelled() -> None:
    async def main() -> None:
        ours = asyncio.current_task().get_coro().__qualname__
        async with serving(body_of(100, b"x", 30.0)) as server, client_of() as client:
            tasks = [asyncio.create_task(read(client, server.url)) for _ in range(5)]
            while len(server.requests) < 5:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)
            # their slots are free again, and no breaker has taken offence
            more = [asyncio.create_task(read(client, server.url)) for _ in range(8)]
            while len(server.requests) < 13:
                await asyncio.sleep(0.01)
            for task in more:
                task.cancel()
            await asyncio.gather(*more, return_exceptions=True)
            left = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
        # the server's handlers run on until it ends
        assert {name for name in left if not name.startswith("RequestHandler.")} == {ours}

    asyncio.run(main())
