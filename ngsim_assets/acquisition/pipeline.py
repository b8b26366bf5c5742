"""Sources ingested side by side, each to a result of its own.

Belongs here: how many run at once, what they share, what is left when all is cancelled. Does not
belong here: the steps of one source (ingestion.py), what observers do (observers/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.guarding import named
from ngsim_assets.acquisition.ingestion import Ingestion
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.acquisition.sources import AsyncDataSource, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.telling import Telling
from ngsim_assets.acquisition.transfer.limits import Clock, Limits
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr


def _every(resource: Resource) -> bool:
    return True


class AsyncETLPipeline:
    """Fetches what sources offer into the folder of downloads, within the limits of `settings`.

    A source or a resource that fails stops no other one. What could not be had, and is held from
    an earlier time, is used, and the result says so.

    Args:
        observers: are told of every event. clock: for waits and deadlines.

    Attributes:
        results: of the sources that have ended, in the order of the sources; also after a
            cancellation, when `run` returns none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> None:
        self.results: list[IngestionResult] = []
        self._settings = settings
        self._observers = tuple(observers)
        self._clock = clock or Clock()

    async def run(
        self,
        sources: Sequence[AsyncDataSource],
        *,
        select: Callable[[Resource], bool] = _every,
    ) -> list[IngestionResult]:
        """The result of each source.

        A cancellation ends all that is under way, leaves it to be gone on with by the next run,
        and is raised again; `results` then tells how far each source came.

        Args:
            select: which resources are wanted.
        """
        from ngsim_assets.acquisition.transfer.breaker import Breakers
        from ngsim_assets.acquisition.transfer.client import HttpClient

        settings, clock = self._settings, self._clock
        telling = Telling(self._observers)
        store = DownloadStore(settings.downloads)
        self.results = []
        secrets, faults = _secrets_of(sources)
        client = HttpClient(
            Limits.of(settings),
            breakers=Breakers(
                store.breakers,
                failures=settings.breaker_failures,
                seconds=settings.breaker_seconds,
                clock=clock,
            ),
            tell=telling.tell,
            secrets=secrets,
            clock=clock,
        )
        async with client:
            ingestions = [
                Ingestion(
                    source,
                    select=select,
                    client=client,
                    store=store,
                    settings=settings,
                    telling=telling,
                    clock=clock,
                    fault=fault,
                )
                for source, fault in zip(sources, faults, strict=True)
            ]
            room = asyncio.Semaphore(settings.sources_at_once)

            async def one(ingestion: Ingestion) -> None:
                async with room:
                    await ingestion.run()

            try:
                async with asyncio.TaskGroup() as group:
                    for ingestion in ingestions:
                        group.create_task(one(ingestion))
            finally:
                for ingestion in ingestions:
                    if ingestion.result is None:
                        ingestion.not_begun()
                self.results = [item.result for item in ingestions if item.result is not None]
        return self.results


def _secrets_of(
    sources: Sequence[AsyncDataSource],
) -> tuple[dict[str, Mapping[str, SecretStr]], list[NgsimAssetsError | None]]:
    """Headers by host, and why a source cannot say which it has."""
    secrets: dict[str, Mapping[str, SecretStr]] = {}
    faults: list[NgsimAssetsError | None] = []
    for source in sources:
        fault = None
        try:
            secrets |= source.secrets()
        except Exception as error:
            fault = named(error, source.name, "secrets")
        faults.append(fault)
    return secrets, faults
