"""What a server sees of the limits, and when time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace

import pytest
from aiohttp import web

from ngsim_assets.acquisition.transfer.client import HttpClient
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline, Limits
from ngsim_assets.settings import Settings
from ngsim_assets_tests.acquisition.transfer.serving import QUICK, Server, client_of, serving


def test_every_limit_that_has_a_setting_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = [one.name for one in fields(Limits) if one.name in Settings.model_fields]
    assert len(shared) == 10
    for name in shared:
        default = Settings.model_fields[name].default
        assert getattr(Limits(), name) == default
        monkeypatch.setenv(f"NGSIM_{name.upper()}", str(default + 1))
    limits = Limits.of(Settings())
    for name in shared:
        assert getattr(limits, name) == Settings.model_fields[name].default + 1


def test_a_deadline_runs_by_its_clock() -> None:
    now = 10.0
    deadline = Deadline(5.0, Clock(monotonic=lambda: now))
    assert (deadline.remaining, deadline.passed) == (5.0, False)
    now = 14.0
    assert (deadline.remaining, deadline.passed) == (1.0, False)
    now = 99.0
    assert (deadline.remaining, deadline.passed) == (0.0, True)


async def read(client: HttpClient, url: str) -> int:
    async with client.request(url) as reply:
        return sum([len(block) async for block in reply.blocks()])


def fetched(limits: Limits, hosts: int, requests: int, seconds: float) -> list[Server]:
    """The servers, after so many requests to each at once, whose bodies take so long."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a")
        await asyncio.sleep(seconds)
        await response.write(b"b")
        return response

    async def main() -> list[Server]:
        servers: list[Server] = []

        async def at(number: int, go: Callable[[], Awaitable[None]]) -> None:
            if number == hosts:
                await go()
                return
            async with serving(answer) as server:
                servers.append(server)
                await at(number + 1, go)

        async def go() -> None:
            async with client_of(limits) as client:
                wanted = [read(client, one.url) for one in servers for _ in range(requests)]
                assert await asyncio.gather(*wanted) == [2] * len(wanted)

        await at(0, go)
        return servers

    return asyncio.run(main())


def test_a_host_never_sees_more_connections_than_allowed() -> None:
    (server,) = fetched(replace(QUICK, host_connections=3), hosts=1, requests=50, seconds=0.01)
    assert len(server.requests) == 50
    assert server.most == 3
    assert len({request.transport for request in server.requests} - {None}) <= 3


def test_all_hosts_together_see_no_more_requests_than_allowed() -> None:
    limits = replace(QUICK, host_connections=4, requests_at_once=6)
    servers = fetched(limits, hosts=3, requests=12, seconds=0.02)
    assert [len(server.requests) for server in servers] == [12, 12, 12]
    assert max(server.most for server in servers) <= 4
    moments = sorted(
        (moment, step)
        for server in servers
        for times, step in ((server.times, 1), (server.ends, -1))
        for moment in times
    )
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    assert 4 < most <= 6


def test_a_busy_host_does_not_keep_another_one_waiting() -> None:
    limits = replace(QUICK, host_connections=2, requests_at_once=4)

    async def slow(request: web.Request) -> web.Response:
        await let_go.wait()
        return web.Response(body=b"slow")

    async def quick(request: web.Request) -> web.Response:
        return web.Response(body=b"quick")

    async def main() -> None:
        nonlocal let_go
        let_go = asyncio.Event()
        async with serving(slow) as busy, serving(quick) as free, client_of(limits) as client:
            waiting = [asyncio.create_task(read(client, busy.url)) for _ in range(10)]
            while busy.now < 2:
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(read(client, free.url), 2) == 5
            let_go.set()
            assert await asyncio.gather(*waiting) == [4] * 10

    let_go = asyncio.Event()
    asyncio.run(main())


def test_the_rate_holds_for_every_second_from_the_first_on() -> None:
    rate = 40.0
    limits = replace(QUICK, host_requests=rate, host_connections=60, requests_at_once=60)
    (server,) = fetched(limits, hosts=1, requests=60, seconds=0.0)
    times = server.times
    assert len(times) == 60
    # a leaky bucket of 40 would let 40 through at once and all 60 within half a second
    fullest = max(sum(1 for t in times if start <= t < start + 1.0) for start in times)
    assert fullest <= rate + 4
    assert times[-1] - times[0] >= 0.95 * 59 / rate


def test_requests_that_waited_for_a_slot_are_paced_too() -> None:
    rate = 40.0
    limits = replace(QUICK, host_requests=rate, host_connections=8)
    (server,) = fetched(limits, hosts=1, requests=24, seconds=0.3)
    apart = [
        later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)
    ]
    # unpaced, eight would come at once, three times
    assert sum(1 for gap in apart if gap < 0.5 / rate) <= 6
    assert server.most == 8


def test_less_than_one_request_per_second_is_a_rate_too() -> None:
    limits = replace(QUICK, host_requests=1 / 1.2)
    (server,) = fetched(limits, hosts=1, requests=2, seconds=0.0)
    assert server.times[1] - server.times[0] >= 1.1
