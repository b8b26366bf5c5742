"""Calling what a source does: in time, closed for certain, every failure by name.

Belongs here: what holds for any code of a source. Does not belong here: when it is called, what
follows (ingestion.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from ngsim_assets.acquisition.errors import SourceFault
from ngsim_assets.acquisition.transfer.limits import Deadline
from ngsim_assets.errors import NgsimAssetsError

Item = TypeVar("Item")


@asynccontextmanager
async def within(deadline: Deadline, late: NgsimAssetsError) -> AsyncIterator[None]:
    """`late` is raised where the block is not done when `deadline` passes."""
    limit = asyncio.timeout(deadline.remaining)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise late from None


@asynccontextmanager
async def closing(items: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """`items`, ended for certain when the block is: a generator left open goes on holding."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


def is_cancelled() -> bool:
    """Whether somebody wants this task to end; a source may raise CancelledError by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def named(error: BaseException, source: str, doing: str) -> NgsimAssetsError:
    """`error` if it is one that names its fix, else a SourceFault that it is the cause of."""
    if isinstance(error, NgsimAssetsError):
        return error
    fault = SourceFault(source, doing, error)
    fault.__cause__ = error
    return fault
