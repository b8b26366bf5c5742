"""Requests: polite to hosts, honest about what happens.

Belongs here: one aiohttp session, what of it is allowed, redirects, secrets, small bodies. Does
not belong here: files (download.py), reading a body (reply.py), the limits themselves.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypeVar

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from ngsim_assets import __version__
from ngsim_assets.acquisition.events import BreakerChanged, Event, Retrying
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer import addresses, backoff, failures, responses
from ngsim_assets.acquisition.transfer.breaker import Breakers, Permit
from ngsim_assets.acquisition.transfer.decoding import decoded
from ngsim_assets.acquisition.transfer.errors import (
    NotTheFile,
    NotWhatWasAsked,
    TooManyRedirects,
    TransferError,
)
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline, Limits, Slots
from ngsim_assets.acquisition.transfer.reply import BROKEN, Reply

Result = TypeVar("Result")

_REDIRECTS = {301, 302, 303, 307, 308}
_SAID = 300
"""Characters of what a server says about a failure that are passed on."""


@dataclass(frozen=True, slots=True)
class Page:
    """A small body, decoded.

    Attributes:
        status: 200, or 304 where a condition was set. url: it came from, after redirects, secrets
            redacted.
    """

    status: int
    url: str
    headers: CIMultiDictProxy[str]
    body: bytes


async def _nobody(event: Event) -> None:
    """Tell nobody."""


class HttpClient:
    """One session with the network; an async context manager.

    Args:
        limits: what may be taken. breakers: of the hosts. tell: is told of retries and breakers.
        secrets: headers that only one host gets, by `host`, `host:port` or its address. They are
            sent over TLS, or to this machine, and never after a redirect to elsewhere.
        clock: for waits.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        breakers: Breakers,
        tell: Callable[[Event], Awaitable[None]] = _nobody,
        secrets: Mapping[str, Mapping[str, SecretStr]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits
        self._breakers = breakers
        self._tell = tell
        self._secrets = {
            responses.host_of(host if "://" in host else f"https://{host}"): dict(given)
            for host, given in (secrets or {}).items()
        }
        self._clock = clock or Clock()
        self._slots = Slots(limits)
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        limits = self.limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.requests_at_once, limit_per_host=limits.host_connections
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"ngsim_assets/{__version__}", "Accept": "*/*"},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_timeout, sock_read=limits.stall_timeout
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def request(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> AsyncIterator[Reply]:
        """One attempt at `url`: the reply, within limits, after redirects, its body unread.

        It is 200; or 206 and 416 if a range was asked for, 304 if a condition was set. Without an
        `Accept-Encoding` of the caller's the body is asked for as it is. `headers` go along with
        redirects, but those with names of secrets not to another origin.

        Raises:
            TransferError: everything else.
        """
        target = addresses.asked(url, params)
        given = CIMultiDict({"Accept-Encoding": "identity", **(headers or {})})
        for _ in range(self.limits.redirects + 1):
            async with self._admitted(target) as permit:
                response = await self._send(method, target, given, permit)
                onward = await self._judge(response, given, permit)
                if onward is None:
                    reply = Reply(response, self.limits, lambda e, p=permit: self._settle(p, e))
                    try:
                        yield reply
                    except Exception:
                        # whatever its reader makes of it, the host has answered
                        await self._settle(permit, None)
                        raise
                    finally:
                        reply.close()
                    await self._settle(permit, None)
                    return
            if addresses.origin(onward) != addresses.origin(target):
                for name in [name for name in given if responses.is_secret(name)]:
                    given.popall(name, None)
            target = onward
        raise TooManyRedirects(url, self.limits.redirects)

    async def retrying(
        self,
        resource: Resource,
        deadline: Deadline,
        attempt: Callable[[], Awaitable[Result]],
        *,
        progressed: Callable[[], bool] = lambda: False,
    ) -> Result:
        """The result of `attempt`, tried again as `backoff.retrying` says; `Retrying` is told."""

        async def tell(number: int, wait: float, error: TransferError) -> None:
            await self._tell(Retrying(resource, number, wait, error.problem))

        return await backoff.retrying(
            resource.url,
            deadline,
            attempt,
            retries=self.limits.retries,
            clock=self._clock,
            progressed=progressed,
            tell=tell,
        )

    async def get(
        self,
        resource: Resource,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        deadline: Deadline | None = None,
    ) -> Page:
        """A small body, tried again where that may help, decoded if it came compressed.

        Raises:
            BodyTooLong: more than `max_bytes` (None: `Limits.page_bytes`), sent or decoded.
            TransferError: what else may happen.
        """

        async def attempt() -> Page:
            return await self._page(url, params, headers, max_bytes)

        return await self.retrying(resource, deadline or self._deadline(), attempt)

    async def get_json(
        self,
        resource: Resource,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        deadline: Deadline | None = None,
    ) -> object:
        """The JSON at `url`; NotTheFile for a page, NotWhatWasAsked for what is no JSON."""
        asked = {"Accept": "application/json", **(headers or {})}

        async def attempt() -> object:
            page = await self._page(url, params, asked, max_bytes)
            if responses.looks_like_html(page.body):
                raise NotTheFile(page.url, "an HTML page", "JSON")
            try:
                return json.loads(page.body)
            except (ValueError, RecursionError):
                raise NotWhatWasAsked(page.url, "the body is not JSON") from None

        return await self.retrying(resource, deadline or self._deadline(), attempt)

    async def _page(
        self,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        max_bytes: int | None,
    ) -> Page:
        most = self.limits.page_bytes if max_bytes is None else max_bytes
        asked = {"Accept-Encoding": "gzip, deflate", **(headers or {})}
        async with self.request(url, params=params, headers=asked) as reply:
            body = b"" if reply.status == 304 else await decoded(reply, most)
            return Page(reply.status, reply.shown_url, reply.headers, body)

    def _deadline(self) -> Deadline:
        return Deadline(self.limits.deadline, self._clock)

    @asynccontextmanager
    async def _admitted(self, target: URL) -> AsyncIterator[Permit]:
        """A slot and the breaker's leave for one request; nothing is held while a probe is out."""
        host, shown = responses.host_of(target), str(target)
        breaker = self._breakers.of(host)
        while True:
            probe = breaker.hindrance(shown)
            if probe is None:
                async with self._slots.one(host):
                    probe = breaker.hindrance(shown)
                    if probe is None:
                        await self._slots.pace(host)
                        leave = breaker.permit(shown)
                        if isinstance(leave, Permit):
                            try:
                                await self._told(leave.change)
                                yield leave
                            finally:
                                leave.abandoned()
                            return
                        probe = leave
            await probe.wait()

    async def _send(
        self, method: str, target: URL, given: CIMultiDict[str], permit: Permit
    ) -> aiohttp.ClientResponse:
        """The head of the reply, whatever its status."""
        if self._session is None:
            raise RuntimeError("a client is used within `async with`")
        headers = given.copy()
        if addresses.is_private(target):
            for name, value in self._secrets.get(responses.host_of(target), {}).items():
                headers[name] = value.get_secret_value()
        limits, proxy = self.limits, addresses.proxy_for(target)
        trusted = await self._trusted() if "https" in {target.scheme, (proxy or "")[:5]} else True
        tries = 0

        async def paced(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            # aiohttp asks once more, at once, where a connection ends before there is an answer:
            # mostly one that was kept and that the server was just closing
            nonlocal tries
            tries += 1
            if tries > 1:
                await self._slots.pace(responses.host_of(target))
            return await send(request)

        try:
            async with asyncio.timeout(limits.connect_timeout + limits.stall_timeout):
                return await self._session.request(
                    method,
                    target,
                    headers=headers,
                    allow_redirects=False,
                    proxy=proxy,
                    ssl=trusted,
                    middlewares=(paced,),
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = failures.before_the_reply(error, str(target), limits)
        await self._settle(permit, failure)
        raise failure from None

    async def _trusted(self) -> ssl.SSLContext:
        """Whom to trust: the system's authorities, or those that SSL_CERT_FILE names.

        aiohttp has a context of its own, made when it is imported. Reading the authorities takes
        a while, which a client that never meets TLS is spared.
        """
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls

    async def _judge(
        self, response: aiohttp.ClientResponse, given: CIMultiDict[str], permit: Permit
    ) -> URL | None:
        """Where the reply sends to, None if it is what was asked for; raises what it is else."""
        keep = False
        try:
            status = response.status
            if status in _REDIRECTS and "Location" in response.headers:
                await self._settle(permit, None)
                return addresses.onward(response)
            keep = (
                status == 200
                or (status in {206, 416} and "Range" in given)
                or (status == 304 and ("If-None-Match" in given or "If-Modified-Since" in given))
            )
            if keep:
                return None
            failure = await self._refusal(response)
            await self._settle(permit, failure)
            raise failure
        finally:
            if not keep:
                response.release()

    async def _refusal(self, response: aiohttp.ClientResponse) -> TransferError:
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        wait = responses.retry_after(response.headers, now)
        said = await self._said(response) if response.status >= 400 else ""
        return failures.of_status(response.status, str(response.url), said, wait)

    async def _said(self, response: aiohttp.ClientResponse) -> str:
        """The start of what a server writes about a failure, if it is meant to be read."""
        if responses.content_encoding(response.headers):
            return ""
        start = b""
        try:
            async with asyncio.timeout(min(self.limits.stall_timeout, 5.0)):
                while len(start) < 4096 and (block := await response.content.readany()):
                    start += block
        except BROKEN:
            pass  # the status says enough
        if responses.looks_like_html(start):
            return "an HTML page"
        text = " ".join(start[:4096].decode(errors="replace").split())
        plain = "".join(c if c.isprintable() else "?" for c in text)
        return self._without_secrets(plain, response.url)[:_SAID]

    def _without_secrets(self, text: str, asked: URL) -> str:
        """`text` without secrets of headers, and of the query that it may be an echo of."""
        secrets = [
            value.get_secret_value() for given in self._secrets.values() for value in given.values()
        ]
        secrets += [value for name, value in asked.query.items() if responses.is_secret(name)]
        for secret in filter(None, secrets):
            text = text.replace(secret, "REDACTED")
        return text

    async def _settle(self, permit: Permit, failure: TransferError | None) -> None:
        """Tell the breaker how a request went; the first word counts."""
        if failure is not None and failure.blames_host:
            await self._told(permit.failed(failure))
        else:
            await self._told(permit.succeeded())

    async def _told(self, change: BreakerChanged | None) -> None:
        if change is not None:
            await self._breakers.remember(change.host)
            await self._tell(change)
