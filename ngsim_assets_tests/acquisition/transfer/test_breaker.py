"""A failing host is left alone, and asked again by one request at a time."""

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.acquisition.events import BreakerChanged, Event
from ngsim_assets.acquisition.transfer.breaker import (
    FORGOTTEN_AFTER,
    Breaker,
    Breakers,
    OpenBreaker,
    Permit,
    standing,
)
from ngsim_assets.acquisition.transfer.errors import (
    HostLeftAlone,
    HostUnreachable,
    ServerFailed,
    TooManyRequests,
    TransferError,
)
from ngsim_assets.acquisition.transfer.limits import Clock
from ngsim_assets_tests.acquisition.transfer.serving import QUICK, Told, client_of, serving

URL = "https://a.example/x"
HOST = "a.example"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.clock = Clock(lambda: self.now, lambda: self.now + 1e9)


def failure() -> ServerFailed:
    return ServerFailed(URL, 500)


def breaker(time: Hands, failures: int = 3) -> Breaker:
    return Breakers(None, failures=failures, seconds=60.0, clock=time.clock).of(HOST)


def permit(of: Breaker) -> Permit:
    leave = of.permit(URL)
    assert isinstance(leave, Permit)
    return leave


def opened(time: Hands) -> Breaker:
    one = breaker(time)
    for _ in range(3):
        permit(one).failed(failure())
    return one


def test_three_failures_in_a_row_open_it_for_a_minute() -> None:
    time = Hands()
    one = breaker(time)
    assert permit(one).failed(failure()) is None
    assert permit(one).failed(failure()) is None
    change = permit(one).failed(failure())
    assert change == BreakerChanged(HOST, "open", 60.0, failure().problem)
    time.now += 20
    with pytest.raises(HostLeftAlone, match="left alone for another 40 s") as caught:
        one.permit(URL)
    assert caught.value.retry_after == 40.0
    assert caught.value.transient


def test_a_success_between_failures_starts_the_count_again() -> None:
    one = breaker(Hands())
    for _ in range(5):
        permit(one).failed(failure())
        permit(one).failed(failure())
        permit(one).succeeded()
    assert isinstance(one.permit(URL), Permit)


def test_half_open_lets_one_probe_through_and_its_success_closes_it() -> None:
    time = Hands()
    one = opened(time)
    time.now += 60
    probe = permit(one)
    assert probe.change == BreakerChanged(HOST, "half_open")
    waiting = one.permit(URL)
    assert isinstance(waiting, asyncio.Event)
    assert waiting is one.hindrance(URL)
    assert not waiting.is_set()
    assert probe.succeeded() == BreakerChanged(HOST, "closed")
    assert waiting.is_set()
    assert permit(one).change is None
    assert permit(one).failed(failure()) is None


def test_a_failing_probe_opens_it_again_and_waiting_is_no_longer_worth_it() -> None:
    time = Hands()
    one = opened(time)
    time.now += 61
    probe = permit(one)
    waiting = one.permit(URL)
    assert isinstance(waiting, asyncio.Event)
    assert probe.failed(failure()) == BreakerChanged(HOST, "open", 60.0, failure().problem)
    assert waiting.is_set()
    with pytest.raises(HostLeftAlone) as caught:
        one.permit(URL)
    assert caught.value.retry_after == 60.0
    assert not caught.value.transient


def test_an_abandoned_request_is_neither_and_the_next_one_probes() -> None:
    time = Hands()
    one = opened(time)
    time.now += 60
    first = permit(one)
    waiting = one.permit(URL)
    assert isinstance(waiting, asyncio.Event)
    first.abandoned()
    assert waiting.is_set()
    second = permit(one)
    assert second.change == BreakerChanged(HOST, "half_open")
    # what the abandoned one says later is not heard
    assert first.succeeded() is None
    assert isinstance(one.permit(URL), asyncio.Event)
    assert second.succeeded() == BreakerChanged(HOST, "closed")


def test_abandoned_requests_do_not_open_it() -> None:
    one = breaker(Hands())
    for _ in range(10):
        permit(one).abandoned()
    assert permit(one).change is None


def test_answers_to_what_was_asked_before_it_opened_change_nothing() -> None:
    time = Hands()
    one = breaker(time)
    early = [permit(one) for _ in range(4)]
    for _ in range(3):
        permit(one).failed(failure())
    time.now += 59
    assert early[0].failed(failure()) is None
    assert early[1].succeeded() is None
    with pytest.raises(HostLeftAlone, match="another 1 s"):
        one.permit(URL)
    time.now += 1
    probe = permit(one)
    assert early[2].failed(failure()) is None
    assert early[3].succeeded() is None
    assert isinstance(one.permit(URL), asyncio.Event)
    assert probe.succeeded() is not None


def test_a_server_that_wants_a_longer_pause_gets_it() -> None:
    time = Hands()
    one = breaker(time, failures=1)
    change = permit(one).failed(TooManyRequests(URL, 429, retry_after=300.0))
    assert change is not None
    assert change.retry_in == 300.0
    time.now += 299
    with pytest.raises(HostLeftAlone):
        one.permit(URL)


def test_an_outage_of_long_ago_is_not_held_against_a_host() -> None:
    time = Hands()
    one = opened(time)
    time.now += 60
    permit(one).failed(failure())
    time.now += 60 * (FORGOTTEN_AFTER + 1)
    probe = permit(one)
    probe.failed(failure())
    with pytest.raises(HostLeftAlone) as caught:
        one.permit(URL)
    assert caught.value.transient


STEP = st.sampled_from(["ask", "ask", "ask", "succeed", "fail", "abandon", "pass"])


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_there_is_never_more_than_one_probe(steps: list[str]) -> None:
    time = Hands()
    one = breaker(time)
    out: list[Permit] = []
    probes: list[Permit] = []
    for step in steps:
        if step == "pass":
            time.now += 61
        elif step == "ask":
            try:
                leave = one.permit(URL)
            except HostLeftAlone:
                continue
            if isinstance(leave, Permit):
                out.append(leave)
                if leave.change is not None:
                    assert all(earlier.settled for earlier in probes)
                    probes.append(leave)
            else:
                assert any(not earlier.settled for earlier in probes)
        elif out:
            done = out.pop(0)
            if step == "succeed":
                done.succeeded()
            elif step == "fail":
                done.failed(failure())
            else:
                done.abandoned()
    # and it never hangs: once every request has ended, the next one gets through or is refused
    for left in out:
        left.abandoned()
    time.now += 61
    assert isinstance(one.permit(URL), Permit)


def test_the_next_process_knows_which_hosts_are_left_alone(tmp_path: Path) -> None:
    time = Hands()

    async def main() -> None:
        ours = Breakers(tmp_path, failures=1, clock=time.clock)
        for host in ("a.example", "[::1]:8080"):
            permit(ours.of(host)).failed(failure())
            await ours.remember(host)
        time.now += 15
        assert [(one.host, one.until - one.opened) for one in standing(tmp_path, now=0)] == [
            ("[::1]:8080", 60.0),
            ("a.example", 60.0),
        ]
        theirs = Breakers(tmp_path, failures=1, clock=time.clock)
        for host in ("a.example", "[::1]:8080"):
            with pytest.raises(HostLeftAlone, match="another 45 s"):
                theirs.of(host).permit(URL)
        time.now += 45
        probe = permit(theirs.of("a.example"))
        assert probe.change == BreakerChanged("a.example", "half_open")
        probe.succeeded()
        await theirs.remember("a.example")
        assert [one.host for one in standing(tmp_path)] == []
        assert [one.host for one in standing(tmp_path, now=time.clock.wall())] == ["[::1]:8080"]
        assert len(list(tmp_path.iterdir())) == 1

    asyncio.run(main())


def test_how_often_a_probe_failed_is_remembered_too(tmp_path: Path) -> None:
    time = Hands()

    async def main() -> None:
        for openings in (1, 2):
            ours = Breakers(tmp_path, failures=1, clock=time.clock)
            permit(ours.of(HOST)).failed(failure())
            await ours.remember(HOST)
            assert [one.openings for one in standing(tmp_path, now=0)] == [openings]
            with pytest.raises(HostLeftAlone) as caught:
                Breakers(tmp_path, failures=1, clock=time.clock).of(HOST).permit(URL)
            assert caught.value.transient is (openings == 1)
            time.now += 60

    asyncio.run(main())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 99}', '{"format": 1, "host": "a.example"}', "\0\xff"],
)
def test_a_damaged_file_is_no_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.example.json").write_text(content, encoding="latin-1")
    assert standing(tmp_path) == []
    assert permit(Breakers(tmp_path).of(HOST)).change is None


def test_a_clock_that_was_set_back_leaves_no_host_alone_for_longer(tmp_path: Path) -> None:
    time = Hands()
    until = time.clock.wall() + 1e8
    record = OpenBreaker(HOST, until - 60, until, 60.0, 1, "x")
    content = {"format": 1, **{name: getattr(record, name) for name in record.__slots__}}
    (tmp_path / "a.example.json").write_text(json.dumps(content))
    one = Breakers(tmp_path, clock=time.clock).of(HOST)
    with pytest.raises(HostLeftAlone, match="another 60 s"):
        one.permit(URL)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        ours = Breakers(tmp_path / "file" / "breakers", failures=1, clock=Hands().clock)
        permit(ours.of(HOST)).failed(failure())
        await ours.remember(HOST)
        with pytest.raises(HostLeftAlone):
            ours.of(HOST).permit(URL)

    asyncio.run(main())


def test_a_dead_host_gets_few_requests_and_one_probe_however_many_want_it(tmp_path: Path) -> None:
    alive = False
    held = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if not alive:
            return web.Response(status=500)
        if len(server.requests) == probe_number:
            await held.wait()
        return web.Response(body=b"here")

    async def ask() -> str:
        try:
            async with client.request(server.url) as reply:
                return b"".join([block async for block in reply.blocks()]).decode()
        except TransferError as error:
            return type(error).__name__

    async def main() -> None:
        nonlocal alive, client, server, probe_number
        limits = replace(QUICK, host_connections=4, requests_at_once=4)
        told = Told()
        breakers = Breakers(tmp_path, failures=3, seconds=0.3)
        async with (
            serving(answer) as server,
            client_of(limits, breakers=breakers, tell=told) as client,
        ):
            outcomes = await asyncio.gather(*(ask() for _ in range(50)))
            # those that were on their way when the third failed, and no other
            assert 3 <= len(server.requests) <= 3 + 4 - 1
            assert outcomes.count("ServerFailed") == len(server.requests)
            assert outcomes.count("HostLeftAlone") == 50 - len(server.requests)
            assert [one.host for one in standing(tmp_path)] == [server.host]

            await asyncio.sleep(0.35)
            asked, alive = len(server.requests), True
            probe_number = asked + 1
            asking = [asyncio.create_task(ask()) for _ in range(50)]
            await asyncio.sleep(0.2)
            assert len(server.requests) == asked + 1
            held.set()
            assert await asyncio.gather(*asking) == ["here"] * 50
            assert len(server.requests) == asked + 50
            assert standing(tmp_path) == []
        states = [event.state for event in told.events if isinstance(event, BreakerChanged)]
        assert states == ["open", "half_open", "closed"]

    client = server = probe_number = None
    asyncio.run(main())


def test_a_cancelled_probe_lets_the_next_request_probe(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if len(server.requests) == 1:
            return web.Response(status=500)
        if len(server.requests) == 2:
            await asyncio.sleep(30)
        return web.Response(body=b"here")

    async def ask() -> int:
        async with client.request(server.url) as reply:
            return reply.status

    async def main() -> None:
        nonlocal client, server
        breakers = Breakers(tmp_path, failures=1, seconds=0.05)
        async with serving(answer) as server, client_of(breakers=breakers) as client:
            with pytest.raises(ServerFailed):
                await ask()
            await asyncio.sleep(0.06)
            probe = asyncio.create_task(ask())
            while len(server.requests) < 2:
                await asyncio.sleep(0.01)
            next_one = asyncio.create_task(ask())
            await asyncio.sleep(0.05)
            assert len(server.requests) == 2
            probe.cancel()
            with pytest.raises(asyncio.CancelledError):
                await probe
            assert await next_one == 200
            assert standing(tmp_path) == []

    client = server = None
    asyncio.run(main())


def test_a_probe_that_is_cancelled_while_it_is_told_of_keeps_nobody_waiting() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500 if len(server.requests) == 1 else 200)

    async def ask() -> int:
        async with client.request(server.url) as reply:
            return reply.status

    async def main() -> None:
        nonlocal client, server
        telling = asyncio.Event()

        class Slow(Told):
            async def __call__(self, event: Event) -> None:
                if event == BreakerChanged(server.host, "half_open") and not telling.is_set():
                    telling.set()
                    await asyncio.sleep(30)

        breakers = Breakers(None, failures=1, seconds=0.05)
        async with serving(answer) as server, client_of(breakers=breakers, tell=Slow()) as client:
            with pytest.raises(ServerFailed):
                await ask()
            await asyncio.sleep(0.06)
            probe = asyncio.create_task(ask())
            await telling.wait()
            probe.cancel()
            assert await asyncio.wait_for(ask(), 2) == 200

    client = server = None
    asyncio.run(main())


@pytest.mark.parametrize("status", [404, 403, 400, 410])
def test_a_refusal_is_the_answer_of_a_host_that_is_well(status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async def main() -> None:
        breakers = Breakers(None, failures=1)
        async with serving(answer) as server, client_of(breakers=breakers) as client:
            for _ in range(5):
                with pytest.raises(TransferError) as caught:
                    async with client.request(server.url):
                        pass
                assert not isinstance(caught.value, HostLeftAlone)
            assert len(server.requests) == 5

    asyncio.run(main())


def test_what_a_reader_makes_of_an_answer_is_not_held_against_the_host() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500 if len(server.requests) == 1 else 200, body=b"x")

    async def main() -> None:
        nonlocal server
        told, breakers = Told(), Breakers(None, failures=1, seconds=0.05)
        async with serving(answer) as server, client_of(breakers=breakers, tell=told) as client:
            with pytest.raises(ServerFailed):
                async with client.request(server.url):
                    pass
            await asyncio.sleep(0.06)
            with pytest.raises(KeyError):
                async with client.request(server.url):
                    raise KeyError
        assert [event.state for event in told.events] == ["open", "half_open", "closed"]

    server = None
    asyncio.run(main())


def test_a_host_that_cannot_be_reached_is_left_alone_too() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    async def main() -> None:
        told = Told()
        async with client_of(tell=told) as client:
            kinds = []
            for _ in range(5):
                with pytest.raises(TransferError) as caught:
                    async with client.request(url):
                        pass
                kinds.append(type(caught.value))
                # aiohttp's exceptions hold what was sent, and with it secrets
                assert caught.value.__cause__ is None
                assert caught.value.__context__ is None
        assert kinds == [HostUnreachable] * 3 + [HostLeftAlone] * 2
        assert [event.state for event in told.events] == ["open"]

    asyncio.run(main())


def test_too_many_requests_open_it() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"})

    async def main() -> None:
        breakers = Breakers(None, failures=1, seconds=1.0)
        async with serving(answer) as server, client_of(breakers=breakers) as client:
            with pytest.raises(TooManyRequests):
                async with client.request(server.url):
                    pass
            with pytest.raises(HostLeftAlone) as caught:
                async with client.request(server.url):
                    pass
            assert 6 < (caught.value.retry_after or 0) <= 7
            assert len(server.requests) == 1

    asyncio.run(main())
