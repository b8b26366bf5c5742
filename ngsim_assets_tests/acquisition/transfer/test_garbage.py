"""Answers that are damaged in every way: a body or a named failure, and nothing else."""

import asyncio
import random
import socket
from dataclasses import replace

import pytest

from ngsim_assets.acquisition.transfer.breaker import Breakers
from ngsim_assets.acquisition.transfer.errors import TransferError
from ngsim_assets_tests.acquisition.transfer.handlers import read, unknown_name
from ngsim_assets_tests.acquisition.transfer.serving import QUICK, client_of

ANSWERS = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: "1"\r\n\r\n01234567890123456789',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /a?b=%63#d\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 X\r\nRetry-After: Sun, 01 Mar 2026 12:00:00 GMT\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\n01234",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the connection ends",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
]
BYTES = [
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b":",
    b" ",
    b"-1",
    b"9" * 30,
    b"\r\n\r\n",
    b"chunked",
    b"[",
    b"%",
]
ROUNDS = 300


def damaged(chance: random.Random) -> bytes:
    """An answer with bytes of it replaced, removed, said twice or cut off."""
    answer = bytearray(chance.choice(ANSWERS))
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(answer) + 1)
        until = min(at + chance.randint(0, 6), len(answer))
        match chance.randrange(4):
            case 0:
                answer[at:until] = chance.choice(BYTES)
            case 1:
                answer[at:until] = chance.randbytes(until - at)
            case 2:
                answer[at:at] = answer[max(0, at - 30) : at]
            case _:
                del answer[at : chance.choice([until, len(answer)])]
    return bytes(answer)


def test_whatever_a_server_sends_is_a_body_or_a_named_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a damaged redirect may lead anywhere, and is not to be followed there
    monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
    chance = random.Random(5)  # noqa: S311 - the same damage at every run
    outcomes: dict[str, int] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(damaged(chance))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        limits = replace(QUICK, connect_timeout=1.0, stall_timeout=1.0)
        breakers = Breakers(None, failures=10**6)
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, client_of(limits, breakers=breakers) as client:
            for _ in range(ROUNDS):
                try:
                    await read(client, url, headers={"Range": "bytes=0-4"})
                    outcome = "body"
                except TransferError as error:
                    outcome = type(error).__name__
                outcomes[outcome] = outcomes.get(outcome, 0) + 1

    asyncio.run(main())
    assert sum(outcomes.values()) == ROUNDS
    # the damage is of many kinds, and some of it does not matter
    assert len(outcomes) >= 6, outcomes
    assert outcomes["body"] > 10
