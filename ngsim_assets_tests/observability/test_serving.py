"""The server by itself, on a free port of this machine: every address, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import aiohttp
import pytest

from ngsim_assets.observability import logs
from ngsim_assets.observability.health import Check, Examination, Health, Status
from ngsim_assets.observability.redaction import Redactor
from ngsim_assets.observability.serving import CannotListen, Served, is_loopback, serving
from ngsim_assets.settings import Settings

UNSAID = "tok-9f31c77a"


@dataclass
class Told:
    """What the server is given, and may be changed while it runs."""

    status: Status = "ok"
    ready: Status = "ok"
    seen: list[Health] = field(default_factory=list[Health])
    hold: threading.Event = field(default_factory=threading.Event)

    def served(self, *, exposition: Callable[[Health], bytes] | None = None) -> Served:
        def health() -> Check:
            return Check("disk", self.status, f"token {UNSAID}", {"free": 7})

        def expose(found: Health) -> bytes:
            self.seen.append(found)
            return f"ngsim_disk_free_bytes {found.checks[0].data['free']}\n".encode()

        return Served(
            health=Examination({"disk": health}, fresh=0.0),
            ready=Examination({"data": lambda: Check("data", self.ready, "")}, fresh=0.0),
            exposition=exposition or expose,
            version=lambda: {"ngsim_assets": "0.1.0"},
            redactor=Redactor([UNSAID]),
        )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logs.configure(Settings(), mode="human", level="warning")
    yield
    logs.configure(Settings(), mode="human", level="info")


def _asked(told: Told, ask: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            serving(told.served(), "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as session,
        ):
            await ask(session, url)

    asyncio.run(run())


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("failing", 503)])
def test_health(status: Status, code: int) -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/health") as reply:
            assert reply.status == code
            assert reply.headers["Cache-Control"] == "no-store"
            assert await reply.json() == {
                "status": status,
                "checks": {"disk": {"status": status, "detail": "token ***", "free": 7}},
            }

    _asked(Told(status=status), ask)


def test_every_other_address() -> None:
    told = Told(ready="failing")

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/metrics") as reply:
            assert reply.status == 200
            assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert await reply.text() == "ngsim_disk_free_bytes 7\n"
        async with session.get(f"{url}/ready") as reply:
            assert (reply.status, (await reply.json())["ready"]) == (503, False)
        told.ready = "ok"
        for _ in range(200):  # an answer is kept for a moment
            async with session.get(f"{url}/ready") as reply:
                status, ready = reply.status, (await reply.json())["ready"]
            if ready:
                break
            await asyncio.sleep(0.01)
        assert (status, ready) == (200, True)
        async with session.get(f"{url}/version") as reply:
            assert (reply.status, await reply.json()) == (200, {"ngsim_assets": "0.1.0"})
        for path in ("/", "/healthz", "/metrics/", "/../etc/passwd", "/%00"):
            async with session.get(url + path) as reply:
                assert reply.status == 404
                assert "/health" in await reply.text()
        for path in ("/metrics", "/health", "/ready", "/version"):
            async with session.head(url + path) as reply:
                assert (reply.status, await reply.read()) == (200, b"")
                assert int(reply.headers["Content-Length"]) > 0
            async with session.post(url + path, data=b"x") as reply:
                assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD")

    _asked(told, ask)
    assert [health.status for health in told.seen][:1] == ["ok"]


def test_metrics_are_made_once_for_many_who_ask() -> None:
    told = Told()

    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        async def one() -> int:
            async with session.get(f"{url}/metrics") as reply:
                return reply.status

        assert await asyncio.gather(*(one() for _ in range(20))) == [200] * 20

    _asked(told, ask)
    assert len(told.seen) == 1


def test_a_request_that_fails_is_told_and_the_server_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(health: Health) -> bytes:
        raise RuntimeError(f"no metrics, {UNSAID}")

    async def run() -> None:
        logs.configure(Settings(), mode="json", level="info")
        async with (
            serving(Told().served(exposition=broken), "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as session,
        ):
            async with session.get(f"{url}/metrics?token={UNSAID}") as reply:
                assert (reply.status, await reply.text()) == (500, "RuntimeError\n")
            async with session.get(f"{url}/health") as reply:
                assert reply.status == 200

    asyncio.run(run())
    failed, first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (failed["level"], failed["error"]["type"]) == ("error", "RuntimeError")
    assert (first["method"], first["path"], first["status"]) == ("GET", "/metrics", 500)
    assert (second["path"], second["status"], second["client"]) == ("/health", 200, "127.0.0.1")
    assert isinstance(second["seconds"], float)


def test_a_port_that_is_taken_is_one_line() -> None:
    async def run(port: int) -> None:
        async with serving(Told().served(), "127.0.0.1", port):
            raise AssertionError

    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port}: another process listens there"):
            asyncio.run(run(port))


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))  # noqa: S104
