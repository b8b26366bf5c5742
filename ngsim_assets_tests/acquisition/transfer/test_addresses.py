"""Redirects, secrets and proxies: who is asked, and who gets to know what."""

import asyncio
import socket
import traceback
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from aiohttp import web
from pydantic import SecretStr

from ngsim_assets.acquisition.events import Retrying
from ngsim_assets.acquisition.transfer.errors import (
    BadAddress,
    HostUnreachable,
    TooManyRedirects,
    TransferError,
    UnsafeRedirect,
)
from ngsim_assets_tests.acquisition.transfer.handlers import (
    SECRET,
    Asleep,
    failure_of,
    page,
    raw,
    read,
    to,
    unknown_name,
    with_tls,
)
from ngsim_assets_tests.acquisition.transfer.serving import (
    QUICK,
    Told,
    client_of,
    reset,
    serving,
)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_the_last_address_is_told(status: int) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/a":
            return await to("b?x=%2f%20y&sig=a+b%2B#part", status)(request)
        return await page(request.raw_path.encode())(request)

    asked = b"/b?x=%2f%20y&sig=a+b%2B"

    async def main() -> None:
        async with serving(answer) as server, client_of() as client:
            async with client.request(server.url + "/a", headers={"Range": "bytes=0-"}) as reply:
                assert reply.url == server.url + "/b?x=%2f%20y&sig=a+b%2B"
                assert b"".join([block async for block in reply.blocks()]) == asked
            assert [request.method for request in server.requests] == ["GET", "GET"]
            assert all(request.headers["Range"] == "bytes=0-" for request in server.requests)

    asyncio.run(main())


def test_five_redirects_are_followed_and_no_more() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        left = int(request.path[1:])
        return await (to(f"/{left - 1}") if left else page())(request)

    async def main() -> None:
        async with serving(answer) as server, client_of() as client:
            assert await read(client, server.url + "/5") == b"here"
            with pytest.raises(TooManyRedirects, match="more than 5 times"):
                await read(client, server.url + "/6")
            assert len(server.requests) == 6 + 6

    asyncio.run(main())


def test_a_circle_ends() -> None:
    assert isinstance(failure_of(to("/")), TooManyRedirects)


@pytest.mark.parametrize(
    "location",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "javascript:1",
        "http://",
        "http://[",
        "//a..b",
        "data:,x",
    ],
)
def test_redirects_to_what_is_not_http_are_refused(location: str) -> None:
    assert isinstance(failure_of(to(location)), UnsafeRedirect)


def test_redirects_with_a_password_are_refused_without_showing_it() -> None:
    error = failure_of(to(f"http://u:{SECRET}@127.0.0.1/"))
    assert isinstance(error, UnsafeRedirect)
    assert SECRET not in str(error)


def test_from_https_to_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def main() -> None:
        async with (
            serving(page()) as plain,
            with_tls(authority, to(plain.url + "/x")) as secure,
            serving(to(secure.url + "/x")) as first,
            client_of() as client,
        ):
            with pytest.raises(UnsafeRedirect, match=r"redirected to http://127\.0\.0\.1"):
                await read(client, secure.url)
            # from http to https there is nothing to lose, and then there is
            with pytest.raises(UnsafeRedirect):
                await read(client, first.url)
            assert len(secure.requests) == 2
            assert plain.requests == []

    asyncio.run(main())


# secrets


def test_secrets_go_to_their_own_host_only_also_when_redirected() -> None:
    async def main() -> None:
        async with serving(page()) as other:

            async def answer(request: web.Request) -> web.StreamResponse:
                if request.path == "/out":
                    return await to(other.url + "/x")(request)
                return await (to("/there") if request.path == "/in" else page())(request)

            async with serving(answer) as own:
                secrets = {own.host: {"X-App-Token": SecretStr(SECRET)}}
                async with client_of(secrets=secrets) as client:
                    await read(client, own.url + "/in")
                    asked = {"Authorization": "Basic abc", "X-API-Key": "k", "X-Plain": "1"}
                    await read(client, own.url + "/out", headers=asked)
                    await read(client, other.url + "/y")
                assert [r.headers.get("X-App-Token") for r in own.requests] == [SECRET] * 3
                assert own.requests[-1].headers["Authorization"] == "Basic abc"
            assert [r.headers.get("X-App-Token") for r in other.requests] == [None, None]
            assert other.requests[0].headers.get("Authorization") is None
            assert other.requests[0].headers.get("X-API-Key") is None
            assert other.requests[0].headers["X-Plain"] == "1"

    asyncio.run(main())


def test_a_secret_comes_back_with_the_redirect_to_its_host_and_only_there() -> None:
    async def main() -> None:
        async def home(request: web.Request) -> web.StreamResponse:
            return await (to(away.url) if request.path == "/" else page())(request)

        async def back(request: web.Request) -> web.StreamResponse:
            return await to(own.url + "/final")(request)

        async with serving(home) as own, serving(back) as away:
            secrets = {own.url: {"X-App-Token": SecretStr(SECRET)}}
            async with client_of(secrets=secrets) as client:
                assert await read(client, own.url) == b"here"
            assert [r.headers.get("X-App-Token") for r in own.requests] == [SECRET, SECRET]
            assert [r.headers.get("X-App-Token") for r in away.requests] == [None]

    asyncio.run(main())


def test_secrets_do_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    # a proxy sees what would go to any host on the way
    async def main() -> None:
        async with serving(page()) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            secrets = {"portal.example": {"X-App-Token": SecretStr(SECRET)}}
            async with client_of(secrets=secrets) as client:
                assert await read(client, "http://portal.example/x") == b"here"
            (request,) = proxy.requests
            assert SECRET not in str(request.headers)

    asyncio.run(main())


def test_no_secret_is_in_any_error_or_event() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        said = f"{request.path_qs} {request.headers}"
        if request.path == "/cut":
            response = web.StreamResponse(headers={"Content-Length": "99"})
            await response.prepare(request)
            await reset(request)
            return response
        if request.path == "/redirect":
            return await to(f"/redirect?token={SECRET}")(request)
        if request.path == "/unsafe":
            return await to(f"ftp://a.example/?token={SECRET}")(request)
        if request.path == "/dead":
            await reset(request)
        return web.Response(status=int(request.path[1:] or 200), text=said)

    async def main() -> None:
        time, told, shown = Asleep(), Told(), ""
        limits = replace(QUICK, retries=1, breaker_failures=100)
        async with serving(echo) as server:
            secrets = {server.host: {"X-App-Token": SecretStr(SECRET)}}
            async with client_of(limits, tell=told, clock=time.clock, secrets=secrets) as client:
                assert SECRET not in repr(client)
                for path in ("cut", "redirect", "unsafe", "400", "403", "404", "429", "500"):
                    url = f"{server.url}/{path}?$$app_token={SECRET}&api_key={SECRET}"
                    try:
                        await client.get(replace(server.resource(), url=url), url)
                    except TransferError as error:
                        shown += "".join(traceback.format_exception(error))
                        shown += f"{error!r} {error.problem} {error.fix} {vars(error)}"
                    else:
                        pytest.fail("should have failed")
                for url in (f"http://u:{SECRET}@a.example/", f"ftp://a.example/?key={SECRET}"):
                    with pytest.raises(BadAddress) as caught:
                        await read(client, url)
                    shown += "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert all(r.headers["X-App-Token"] == SECRET for r in server.requests)
        assert any(isinstance(event, Retrying) for event in told.events)
        shown += "".join(event.reason for event in told.events if isinstance(event, Retrying))
        assert "REDACTED" in shown
        assert SECRET not in shown
        assert quote(SECRET, safe="") not in shown

    asyncio.run(main())


def test_passwords_in_netrc_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login u password {SECRET}")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    async def main() -> None:
        async with serving(page()) as server, client_of() as client:
            await read(client, server.url)
            assert "Authorization" not in server.requests[0].headers

    asyncio.run(main())


# proxies


def test_the_proxy_of_the_environment_is_used_and_its_exceptions_are_heeded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with serving(page(b"by proxy")) as proxy, serving(page(b"direct")) as direct:
            proxied = proxy.url.replace("http://", f"http://me:{SECRET}@")
            monkeypatch.setenv("http_proxy", proxied)
            monkeypatch.setenv("no_proxy", "not-by.example")
            monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
            async with client_of() as client:
                assert await read(client, "http://portal.example/x?a=1") == b"by proxy"
                assert await read(client, direct.url) == b"direct"
                with pytest.raises(HostUnreachable, match="its name is not known"):
                    await read(client, "http://not-by.example/")
            (request,) = proxy.requests
            assert request.headers["Host"] == "portal.example"
            assert request.headers["Proxy-Authorization"].startswith("Basic ")

    asyncio.run(main())


def test_a_dead_proxy_and_one_of_another_kind_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        async with client_of() as client:
            monkeypatch.setenv("http_proxy", f"u:{SECRET}@127.0.0.1:{port}")
            with pytest.raises(HostUnreachable, match="proxy cannot be reached") as caught:
                await read(client, "http://portal.example/")
            assert SECRET not in "".join(traceback.format_exception(caught.value))
            monkeypatch.setenv("http_proxy", f"socks5://u:{SECRET}@127.0.0.1:{port}")
            with pytest.raises(BadAddress, match="only http") as refused:
                await read(client, "http://portal.example/")
            assert SECRET not in str(refused.value)

    asyncio.run(main())


def test_a_proxy_that_wants_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        async with raw(talk) as proxy, client_of() as client:
            monkeypatch.setenv("https_proxy", proxy)
            with pytest.raises(HostUnreachable, match="the proxy refuses with status 407"):
                await read(client, "https://portal.example/")

    asyncio.run(main())
