"""The answer to one request: its head, and its body in blocks.

Belongs here: reading a body as it comes, and noticing that it does not come. Does not belong
here: how the answer was had (client.py), what its bytes should be (download.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from multidict import CIMultiDictProxy

from ngsim_assets.acquisition.transfer import failures, responses
from ngsim_assets.acquisition.transfer.errors import Stalled, TransferError
from ngsim_assets.acquisition.transfer.limits import Limits

BROKEN = (aiohttp.ClientError, OSError, TimeoutError, RuntimeError, TransferError)
"""What reading a body may raise; RuntimeError is aiohttp's for a connection that is gone."""


class Reply:
    """A reply whose body is still to be read, within `HttpClient.request`.

    Attributes:
        status: 200, 206, 304 or 416. url: it came from, after redirects, with every secret that
            the address holds; `shown_url` is for people. headers: as sent, in any case.
        received: bytes of the body so far, encoded if it is.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        limits: Limits,
        begun: Callable[[TransferError | None], Awaitable[None]],
    ) -> None:
        self._response = response
        self._limits = limits
        self._begun = begun
        self._failure: TransferError | None = None
        self._watch = _Watch(response, str(response.url), limits)
        self.status = response.status
        self.url = str(response.url)
        self.headers: CIMultiDictProxy[str] = response.headers
        self.received = 0

    @property
    def shown_url(self) -> str:
        """The address, secrets redacted."""
        return responses.redacted(self.url)

    @property
    def length(self) -> int | None:
        """Bytes of the body as sent, encoded if it is; None if not said."""
        return responses.content_length(self.headers)

    def blocks(self) -> AsyncIterator[bytes]:
        """The body as it comes, encoded if it is, in blocks of up to some hundred kilobytes.

        Raises:
            Stalled: too few bytes over `stall_timeout`; time that the reader takes for itself
                does not count.
            BodyCutShort: the connection ended before the body. Bytes that came before that are
                still given.
        """
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        block = b""
        if self._failure is None:
            self._watch.wait()
            try:
                block = await self._response.content.readany()
            except BROKEN as error:
                block = self._left_over(error)
            finally:
                self._watch.go_on(len(block))
        if block:
            if not self.received:
                await self._begun(None)
            self.received += len(block)
            return block
        self._watch.stop()
        if self._failure is None:
            raise StopAsyncIteration
        if not self.received:
            await self._begun(self._failure)
        raise self._failure

    def close(self) -> None:
        """Give the connection back, or end it where the body was not read."""
        self._watch.stop()
        self._response.release()

    def _left_over(self, error: Exception) -> bytes:
        """What came before `error` and was not read yet; the failure is kept for after it.

        aiohttp would drop these bytes. A server that cuts every connection after a little would
        then never get a file across, however often it is resumed.
        """
        content = self._response.content
        content.set_exception(None)  # pyright: ignore[reportArgumentType]
        rest = content.read_nowait()
        self._failure = failures.within_the_body(
            error,
            self.url,
            received=self.received + len(rest),
            expected=self.length,
            limits=self._limits,
        )
        return rest


class _Watch:
    """Notices a body that comes too slowly: one timer, looked at when it fires, not per block.

    Only time that the reader waits for bytes is counted, in windows of `stall_timeout`. Silence
    within a window is aiohttp's `sock_read`; this is for the byte now and then that defeats it.
    """

    def __init__(self, response: aiohttp.ClientResponse, url: str, limits: Limits) -> None:
        self._response = response
        self._url = url
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since: float | None = None
        self._waited = 0.0
        self._received = 0

    def wait(self) -> None:
        """The reader waits from now on."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.stall_timeout, self._look)

    def go_on(self, received: int) -> None:
        """The reader has got `received` bytes."""
        if self._since is not None:
            self._waited += self._loop.time() - self._since
            self._since = None
        self._received += received

    def stop(self) -> None:
        """Nobody reads any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        waited = self._waited + (0.0 if self._since is None else now - self._since)
        window = self._limits.stall_timeout
        left = window - waited
        if left <= 0:
            if self._received < self._limits.stall_bytes:
                self._response.content.set_exception(Stalled(self._url, self._received, window))
                return
            self._waited, self._received, left = 0.0, 0, window
            if self._since is not None:
                self._since = now
        # a reader that is busy for long does not keep the loop busy with looking
        self._timer = self._loop.call_later(max(left, window / 20), self._look)
