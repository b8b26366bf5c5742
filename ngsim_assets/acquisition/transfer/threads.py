"""Work in threads, and other work that a cancellation waits for.

Belongs here: calling what blocks. Does not belong here: what is called.

A thread cannot be cancelled. Whoever closes a file while one still writes to it may have it write
into the next file that gets the same descriptor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


def started(
    call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> asyncio.Future[Result]:
    """`call` in a thread, begun now; whoever begins it has to wait for it with `ended`."""
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(None, lambda: call(*args, **kwargs))


async def settled(futures: Collection[asyncio.Future[Result]]) -> None:
    """Return when all of `futures` have ended, however; a cancellation is passed on only then."""
    cancelled: asyncio.CancelledError | None = None
    while not all(future.done() for future in futures):
        try:
            await asyncio.wait(futures)
        except asyncio.CancelledError as error:
            cancelled = error
    for future in futures:
        if not future.cancelled():
            future.exception()  # somebody has seen it: asyncio need not tell of it
    if cancelled is not None:
        raise cancelled


async def ended(future: asyncio.Future[Result]) -> Result:
    """The result of `future`. A cancellation is passed on only when it is there."""
    await settled([future])
    return future.result()


async def in_thread(
    call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """What `call` returns, in a thread; when this ends, however it does, `call` has ended."""
    return await ended(started(call, *args, **kwargs))
