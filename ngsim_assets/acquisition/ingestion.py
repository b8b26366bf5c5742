"""One source from discovery to its result, whatever happens on the way.

Belongs here: the steps of a source and of each of its resources, what their failures mean. Does
not belong here: several sources (pipeline.py), requests and files (session.py, store.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.errors import (
    DamagedRecord,
    DiscoveryTimedOut,
    NothingFetched,
    TooManyResources,
    UnusableName,
)
from ngsim_assets.acquisition.events import (
    ArtifactStored,
    Degraded,
    ResourceFinished,
    SourceFinished,
    SourceStarted,
    Warned,
)
from ngsim_assets.acquisition.guarding import closing, is_cancelled, named, within
from ngsim_assets.acquisition.manifests import Manifest, new_manifest
from ngsim_assets.acquisition.results import IngestionResult, Outcome, ResourceStatus
from ngsim_assets.acquisition.session import Session
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Resource
from ngsim_assets.acquisition.store import DownloadStore, Held
from ngsim_assets.acquisition.telling import Tally, Telling
from ngsim_assets.acquisition.transfer.errors import DeadlineExceeded
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline
from ngsim_assets.acquisition.transfer.threads import ended, in_thread, started
from ngsim_assets.acquisition.workplaces import Workplace
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.settings import Settings
from ngsim_assets.storage.errors import StorageError

if TYPE_CHECKING:
    from ngsim_assets.acquisition.transfer.client import HttpClient

RESOURCES = 20_000
"""That a source may offer; one that offers more does not end."""

_LOOK_AGAIN = 0.2
"""Seconds after which a place that another process holds is asked for again."""


class Ingestion:
    """One source in one run of a pipeline.

    Args:
        fault: why the source cannot be asked at all.

    Attributes:
        result: when it has ended, however it did.
    """

    def __init__(
        self,
        source: AsyncDataSource,
        *,
        select: Callable[[Resource], bool],
        client: HttpClient,
        store: DownloadStore,
        settings: Settings,
        telling: Telling,
        clock: Clock,
        fault: NgsimAssetsError | None = None,
    ) -> None:
        self.result: IngestionResult | None = None
        self._source = source
        self._name = source.name
        self._select = select
        self._client = client
        self._store = store
        self._settings = settings
        self._telling = telling
        self._clock = clock
        self._found: list[Resource] = []
        self._outcomes: dict[str, Outcome] = {}
        self._warnings: list[str] = []
        self._error = fault
        self._offered = 0
        self._discover_seconds = 0.0

    async def run(self) -> None:
        """Ingest all that is selected; raises nothing but a cancellation."""
        began = self._clock.monotonic()
        cancelled = True
        try:
            await self._telling.tell(SourceStarted(self._name))
            if self._error is None:
                await self._discover()
            await self._fetch_all()
            await self._go_without()
            cancelled = False
        except Exception as error:
            cancelled = False
            self._error = self._error or named(error, self._name, "ingesting")
        finally:
            total = self._clock.monotonic() - began
            self.result = self._ended(total, cancelled=cancelled)
            await self._telling.tell(SourceFinished(self.result))

    def not_begun(self) -> None:
        """Nobody wanted it any more before its turn came."""
        self.result = IngestionResult(self._name, was_cancelled=True)

    def _ended(self, total: float, *, cancelled: bool) -> IngestionResult:
        never_begun = (Outcome(resource, "cancelled", attempts=0) for resource in self._found)
        return IngestionResult(
            source=self._name,
            outcomes=tuple(
                self._outcomes.get(outcome.resource.key, outcome) for outcome in never_begun
            ),
            discover_seconds=self._discover_seconds,
            total_seconds=total,
            source_warnings=tuple(self._warnings),
            source_error=self._error,
            was_cancelled=cancelled,
        )

    # discovery --------------------------------------------------------------------------------

    async def _discover(self) -> None:
        """What the source offers; where it fails, what it offered until then."""
        deadline = self._deadline()
        late = DiscoveryTimedOut(self._name, deadline.seconds)
        found: dict[str, Resource] = {}
        with self._timed() as seconds:
            try:
                async with (
                    within(deadline, late),
                    closing(self._source.discover(self._session(deadline))) as offers,
                ):
                    async for resource in offers:
                        self._take(resource, found)
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                self._error = named(error, self._name, "discover")
            except Exception as error:
                self._error = named(error, self._name, "discover")
            finally:
                self._discover_seconds = seconds()
                self._found = list(found.values())
        if not self._offered and self._error is None:
            self._warnings.append("the source offers nothing")

    def _take(self, resource: Resource, found: dict[str, Resource]) -> None:
        self._offered += 1
        if self._offered > RESOURCES:
            found.clear()
            raise TooManyResources(self._name, RESOURCES)
        if resource.source != self._name:
            raise UnusableName(f"{resource.source} {resource.key}", f"{self._name} offers it")
        if resource.key in found:
            self._warnings.append(f"{resource.key} is offered twice; the first one is used")
        elif self._select(resource):
            found[resource.key] = resource

    async def _go_without(self) -> None:
        """Where discovery failed, what was fetched earlier is used for what it did not tell."""
        if self._error is None or isinstance(self._error, TooManyResources):
            return
        known = {resource.key for resource in self._found}
        for resource in await in_thread(self._store.resources, self._name):
            if resource.key not in known and self._select(resource):
                tally = self._telling.tally(resource)
                held = await self._held(resource)
                if held is not None:
                    self._found.append(resource)
                    await self._remember(resource, self._error)
                    await self._use(resource, held, self._error.problem, tally)
                    await self._note(resource, "cached", tally, held.artifacts)

    # resources --------------------------------------------------------------------------------

    async def _fetch_all(self) -> None:
        queue = iter(self._found)
        workers = min(len(self._found), self._settings.requests_at_once)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(queue))

    async def _work(self, queue: Iterator[Resource]) -> None:
        for resource in queue:
            await self._ingest(resource)

    async def _ingest(self, resource: Resource) -> None:
        """Fetch `resource` if it is needed, and note how that ended."""
        tally = self._telling.tally(resource)
        deadline = self._deadline()
        late = DeadlineExceeded(resource.url, deadline.seconds)
        try:
            async with within(deadline, late):
                with await self._place(resource) as place:
                    session = self._session(deadline, place)
                    try:
                        status, artifacts = await self._brought(resource, session, tally)
                        await in_thread(place.clear)
                    except BaseException:
                        with suppress(StorageError):  # must not hide why it ended
                            await in_thread(session.note_kept)
                        raise
        except asyncio.CancelledError as raised:
            if is_cancelled():
                await self._note(resource, "cancelled", tally)
                raise
            error = named(raised, self._name, resource.key)
        except Exception as raised:
            error = named(raised, self._name, resource.key)
        else:
            await self._note(resource, status, tally, artifacts)
            return
        await self._remember(resource, error)
        held = await self._held(resource)
        if held is None:
            await self._note(resource, "failed", tally, error=error)
        else:
            await self._use(resource, held, error.problem, tally)
            await self._note(resource, "cached", tally, held.artifacts, error=error)

    async def _brought(
        self, resource: Resource, session: Session, tally: Tally
    ) -> tuple[ResourceStatus, tuple[Artifact, ...]]:
        """Its files as they are now, fetched where they are not held in this version."""
        with self._timed() as seconds:
            try:
                description = await self._source.describe(session, resource)
            finally:
                tally.describe_seconds = seconds()
        manifest = await self._manifest(resource) or new_manifest(resource, self._now())
        held = await in_thread(self._store.held_of, manifest) if manifest.contents else None
        if held is not None and held.current and held.version == description.version != "":
            await in_thread(self._store.confirm, resource, now=self._now())
            return "unchanged", held.artifacts
        change = manifest.schema_change(description.columns)
        if change.sentence:
            await self._telling.tell(Warned(resource, change.sentence))
        session.description, session.schema_version = description, change.number
        artifacts: list[Artifact] = []
        with self._timed() as seconds:
            try:
                async with closing(self._source.fetch(session, resource, description)) as files:
                    async for artifact in files:
                        artifacts.append(artifact)
                        took = session.seconds_of(artifact.name)
                        await self._telling.tell(ArtifactStored(artifact, took))
            finally:
                tally.fetch_seconds = seconds()
        if not artifacts:
            raise NothingFetched(self._name, resource.key)
        await in_thread(self._store.commit, resource, description, artifacts, now=self._now())
        same = held is not None and held.current and _content(held.artifacts) == _content(artifacts)
        return "unchanged" if same else "fetched", tuple(artifacts)

    async def _remember(self, resource: Resource, error: NgsimAssetsError) -> None:
        """Have the next process know that `resource` could not be had."""
        try:
            await in_thread(self._store.note_failure, resource, error, now=self._now())
        except (DamagedRecord, UnusableName):
            pass  # there is no place for it, which is told anyway
        except StorageError as full:
            text = f"that it failed cannot be written down: {full.problem}"
            await self._telling.tell(Warned(resource, text))

    async def _place(self, resource: Resource) -> Workplace:
        """The place of `resource`, when nobody else fetches it."""
        waiting = False
        while (place := await self._taken(resource)) is None:
            if not waiting:
                waiting = True
                text = "somebody else fetches it now, this is waited for"
                await self._telling.tell(Warned(resource, text))
            await asyncio.sleep(_LOOK_AGAIN)
        return place

    async def _taken(self, resource: Resource) -> Workplace | None:
        taking = started(self._store.workplace, resource)
        try:
            return await ended(taking)
        except asyncio.CancelledError:
            if taking.exception() is None and (place := taking.result()) is not None:
                place.leave()  # taken while nobody wanted it any more
            raise

    async def _held(self, resource: Resource) -> Held | None:
        """What there is of `resource`."""
        manifest = await self._manifest(resource)
        return None if manifest is None else await in_thread(self._store.held_of, manifest)

    async def _manifest(self, resource: Resource) -> Manifest | None:
        """What is remembered; nothing where that cannot be read, with a warning."""
        try:
            return await in_thread(self._store.manifest, resource.source, resource.key)
        except DamagedRecord as error:
            text = f"{error.problem}; what it names counts as not there"
            await self._telling.tell(Warned(resource, text))
        except UnusableName:
            pass  # is why it failed
        return None

    async def _use(self, resource: Resource, held: Held, reason: str, tally: Tally) -> None:
        """Tell that what was fetched earlier is used."""
        ages = [_span(self._now(), moment) for moment in (held.fetched_at, held.checked_at)]
        tally.warnings.append(
            f"{reason}; the copy of {held.fetched_at:%Y-%m-%d %H:%M} UTC is used, {ages[0]} old,"
            f" last found current {ages[1]} ago"
        )
        await self._telling.tell(Degraded(resource, reason, held.artifacts))

    async def _note(
        self,
        resource: Resource,
        status: ResourceStatus,
        tally: Tally,
        artifacts: tuple[Artifact, ...] = (),
        *,
        error: NgsimAssetsError | None = None,
    ) -> None:
        outcome = self._outcomes[resource.key] = Outcome(
            resource=resource,
            status=status,
            artifacts=artifacts,
            received=tally.received,
            attempts=tally.attempts,
            describe_seconds=tally.describe_seconds,
            fetch_seconds=tally.fetch_seconds,
            warnings=tuple(tally.warnings),
            error=error,
        )
        await self._telling.tell(ResourceFinished(outcome))

    # ------------------------------------------------------------------------------------------

    def _session(self, deadline: Deadline, place: Workplace | None = None) -> Session:
        return Session(
            self._name,
            client=self._client,
            store=self._store,
            settings=self._settings,
            deadline=deadline,
            tell=self._telling.tell,
            clock=self._clock,
            place=place,
        )

    def _deadline(self) -> Deadline:
        return Deadline(self._settings.deadline, self._clock)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)

    @contextmanager
    def _timed(self) -> Iterator[Callable[[], float]]:
        began = self._clock.monotonic()
        yield lambda: self._clock.monotonic() - began


def _content(artifacts: tuple[Artifact, ...] | list[Artifact]) -> list[tuple[str, str]]:
    return sorted((artifact.name, artifact.sha256) for artifact in artifacts)


def _span(now: datetime, then: datetime) -> str:
    """How long ago, for people."""
    seconds = max((now - then).total_seconds(), 0.0)
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
