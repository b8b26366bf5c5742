"""Requests: what comes through, and which failure is told where nothing does."""

import asyncio
import gzip
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from ngsim_assets.acquisition.transfer.errors import (
    AccessRefused,
    BadAddress,
    ConnectTimedOut,
    HostUnreachable,
    NotFound,
    RequestRefused,
    ServerFailed,
    TooManyRequests,
    TransferError,
    UnexpectedStatus,
    UnreadableReply,
    UntrustedCertificate,
)
from ngsim_assets_tests.acquisition.transfer.handlers import (
    IMPATIENT,
    failure_of,
    page,
    raw,
    read,
    unknown_name,
    with_tls,
)
from ngsim_assets_tests.acquisition.transfer.serving import (
    QUICK,
    client_of,
    serving,
)

# what comes through


def test_a_body_comes_as_it_is_and_is_asked_for_so() -> None:
    body = bytes(range(256)) * 8000

    async def main() -> None:
        async with serving(page(body, ETag='"1"')) as server, client_of() as client:
            async with client.request(
                server.url + "/a?b=1", params={"$where": "x='i 80'"}
            ) as reply:
                assert (reply.status, reply.length) == (200, len(body))
                assert reply.headers["etag"] == '"1"'
                assert b"".join([block async for block in reply.blocks()]) == body
                assert reply.received == len(body)
            (request,) = server.requests
            assert dict(request.query) == {"b": "1", "$where": "x='i 80'"}
            assert request.headers["Accept-Encoding"] == "identity"
            assert request.headers["User-Agent"].startswith("ngsim_assets/")
            assert "Cookie" not in request.headers

    asyncio.run(main())


def test_the_first_block_can_be_looked_at_before_the_others() -> None:
    async def main() -> None:
        body = b"x" * 3_000_000
        async with (
            serving(page(body)) as server,
            client_of() as client,
            client.request(server.url) as reply,
        ):
            first = await anext(reply.blocks())
            rest = b"".join([block async for block in reply.blocks()])
            assert first
            assert first + rest == body

    asyncio.run(main())


def test_a_connection_is_used_again_unless_its_body_was_left() -> None:
    seen: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.get_extra_info("peername"))
        return web.Response(body=b"x" * 5_000_000)

    async def main() -> None:
        async with serving(answer) as server, client_of() as client:
            for leave in (False, False, True, False):
                async with client.request(server.url) as reply:
                    if not leave:
                        assert [block async for block in reply.blocks()]

    asyncio.run(main())
    assert seen[0] == seen[1] == seen[2]
    assert seen[3] != seen[2]


def test_cookies_are_not_kept() -> None:
    async def main() -> None:
        async with serving(page(Set_Cookie="a=b")) as server, client_of() as client:
            for _ in range(2):
                await read(client, server.url)
            assert all("Cookie" not in request.headers for request in server.requests)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Range": "bytes=0-3"}),
        (416, {"Range": "bytes=9-"}),
        (304, {"If-None-Match": '"1"'}),
        (304, {"If-Modified-Since": "Sun, 01 Mar 2026 12:00:00 GMT"}),
    ],
)
def test_answers_to_ranges_and_conditions_come_through_where_those_were_sent(
    status: int, headers: dict[str, str]
) -> None:
    async def main() -> None:
        async with serving(page(b"", status=status)) as server, client_of() as client:
            async with client.request(server.url, headers=headers) as reply:
                assert reply.status == status
            with pytest.raises(TransferError) as caught:
                await read(client, server.url)
            assert isinstance(caught.value, RequestRefused if status == 416 else UnexpectedStatus)

    asyncio.run(main())


def test_a_host_with_ipv6_only_is_reached() -> None:
    async def main() -> None:
        async with serving(page(), address="::1") as server, client_of() as client:
            assert server.url.startswith("http://[::1]:")
            assert await read(client, server.url) == b"here"

    asyncio.run(main())


def test_a_name_with_several_addresses_is_reached_by_the_one_that_answers() -> None:
    async def main() -> None:
        # localhost is ::1 and 127.0.0.1 on most machines; nobody listens on one of the two
        async with serving(page()) as server, client_of() as client:
            url = server.url.replace("127.0.0.1", "localhost")
            assert await read(client, url) == b"here"

    asyncio.run(main())


# hosts that do not answer


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"

    async def main() -> None:
        async with client_of() as client:
            with pytest.raises(HostUnreachable, match="Connection refused") as caught:
                await read(client, url)
            assert caught.value.transient
            assert caught.value.url == url

    asyncio.run(main())


def test_a_name_that_nobody_has_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", unknown_name)

    async def main() -> None:
        async with client_of() as client:
            with pytest.raises(HostUnreachable, match="its name is not known"):
                await read(client, "http://no-such-host.invalid/")

    asyncio.run(main())


def test_a_host_that_does_not_accept_is_given_up_in_time() -> None:
    async def main() -> None:
        # nobody accepts, and the queue of those who wait for it is full
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for one in (first, second):
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            async with client_of(IMPATIENT) as client:
                with pytest.raises(ConnectTimedOut) as caught:
                    await read(client, f"http://127.0.0.1:{full.getsockname()[1]}/")
                assert caught.value.transient

    asyncio.run(main())


def test_a_reset_before_the_answer_is_unreachable() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async def main() -> None:
        async with raw(talk) as url, client_of() as client:
            with pytest.raises(HostUnreachable):
                await read(client, url)

    asyncio.run(main())


def test_what_is_asked_again_at_once_is_paced_like_any_request() -> None:
    times: list[float] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())

    async def main() -> None:
        async with raw(talk) as url, client_of(replace(QUICK, host_requests=5.0)) as client:
            with pytest.raises(HostUnreachable, match="without an answer"):
                await read(client, url)

    asyncio.run(main())
    assert len(times) == 2
    assert times[1] - times[0] >= 0.15


def test_what_is_not_http_is_named() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")

    async def main() -> None:
        async with raw(talk) as url, client_of() as client:
            with pytest.raises(UnreadableReply):
                await read(client, url)

    asyncio.run(main())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/x",
        "a.example/x",
        "",
        "http://",
        "http://[/",
        "http://a:99999/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
        "http://xn--a/",
        "http://1.1.1.1.1/",
        "http://u:p@a.example/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    async def main() -> None:
        async with client_of() as client:
            with pytest.raises(BadAddress):
                await read(client, url)

    asyncio.run(main())


# certificates


def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_asked() -> None:
    async def main() -> None:
        async with with_tls(trustme.CA(), page()) as server, client_of() as client:
            with pytest.raises(UntrustedCertificate, match="SSL_CERT_FILE") as caught:
                await read(client, server.url)
            assert not caught.value.transient
            assert server.requests == []

    asyncio.run(main())


def test_an_authority_in_ssl_cert_file_is_trusted_and_still_has_to_name_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def main() -> None:
        async with with_tls(authority, page()) as server, client_of() as client:
            assert await read(client, server.url) == b"here"
        async with with_tls(authority, page(), "other.example") as server, client_of() as client:
            with pytest.raises(UntrustedCertificate, match=r"127\.0\.0\.1"):
                await read(client, server.url)
            assert server.requests == []

    asyncio.run(main())


def test_a_port_without_tls_is_named() -> None:
    async def main() -> None:
        async with serving(page()) as server, client_of() as client:
            with pytest.raises(HostUnreachable, match=r"TLS failed, (wrong version|record layer)"):
                await read(client, server.url.replace("http:", "https:"))

    asyncio.run(main())


# statuses


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (204, UnexpectedStatus, False),
        (203, UnexpectedStatus, False),
        (300, UnexpectedStatus, False),
        (302, UnexpectedStatus, False),
        (400, RequestRefused, False),
        (401, AccessRefused, False),
        (403, AccessRefused, False),
        (404, NotFound, False),
        (408, RequestRefused, True),
        (410, NotFound, False),
        (425, RequestRefused, True),
        (429, TooManyRequests, True),
        (500, ServerFailed, True),
        (501, ServerFailed, False),
        (502, ServerFailed, True),
        (503, ServerFailed, True),
        (504, ServerFailed, True),
        (505, ServerFailed, False),
        (599, ServerFailed, True),
    ],
)
def test_a_status_is_a_named_failure(status: int, kind: type, transient: bool) -> None:
    error = failure_of(page(b"", status=status))
    assert type(error) is kind
    assert error.transient is transient
    assert str(status) in error.problem


def test_what_the_server_says_about_it_is_told_in_short() -> None:
    said = failure_of(page(b'{"message":\n "no such column: \x1b[31mfoo"}' + b" more" * 9999, 400))
    assert 'no such column: ?[31mfoo"} more' in said.problem
    assert len(said.problem) < 500
    assert "an HTML page" in failure_of(page(b"<!doctype html><p>Oops", status=502)).problem
    assert failure_of(page(gzip.compress(b"x"), 500, Content_Encoding="gzip")).problem.endswith(
        "(status 500)"
    )


def test_a_failure_whose_text_never_ends_is_told_all_the_same() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=503, headers={"Retry-After": "9"})
        await response.prepare(request)
        await response.write(b"busy")
        await asyncio.sleep(30)
        return response

    error = failure_of(answer, limits=IMPATIENT)
    assert isinstance(error, ServerFailed)
    assert error.retry_after == 9.0
