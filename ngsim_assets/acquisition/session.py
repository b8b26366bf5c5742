"""What a source works with: requests, downloads, a place for what is under way, files to keep.

Belongs here: what one resource of one source may do, within its deadline. Does not belong here:
how requests and downloads are made (transfer/), who runs sources (pipeline.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.acquisition.events import BytesReceived, Event, ResourceStarted, Warned
from ngsim_assets.acquisition.manifests import kept_headers
from ngsim_assets.acquisition.objects import Stored, is_in_place, require_file_name
from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer import responses
from ngsim_assets.acquisition.transfer.errors import RefusedByStatus
from ngsim_assets.acquisition.transfer.limits import Clock, Deadline
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.acquisition.workplaces import KeptAlready, Workplace
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from ngsim_assets.acquisition.transfer.client import HttpClient, Page

_NO_HEAD = {405, 501}


class Session:
    """What a source may use for one resource, or to discover them; see AsyncDataSource.

    Attributes:
        source: its name. client: for requests of another kind than those here. deadline: until
            which the resource has to be complete.
    """

    def __init__(
        self,
        source: str,
        *,
        client: HttpClient,
        store: DownloadStore,
        settings: Settings,
        deadline: Deadline,
        tell: Callable[[Event], Awaitable[None]],
        clock: Clock,
        place: Workplace | None = None,
    ) -> None:
        self.source = source
        self.client = client
        self.deadline = deadline
        self.description = Description()
        self.schema_version = 0
        self._store = store
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._place = place
        self._began: dict[str, float] = {}
        self._to_note: list[KeptAlready] = []

    # requests ---------------------------------------------------------------------------------

    async def get(
        self,
        resource: Resource,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> Page:
        """A small body, as `HttpClient.get` has it; not for files."""
        return await self.client.get(
            resource,
            url,
            params=params,
            headers=headers,
            max_bytes=max_bytes,
            deadline=self.deadline,
        )

    async def get_json(
        self,
        resource: Resource,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> object:
        """The JSON at `url`, as `HttpClient.get_json` has it."""
        return await self.client.get_json(
            resource,
            url,
            params=params,
            headers=headers,
            max_bytes=max_bytes,
            deadline=self.deadline,
        )

    async def look(self, resource: Resource, url: str = "") -> Description:
        """What the server says of the file at `url` (of the resource) without sending it.

        Its version is the ETag, or else date and length of the last change; empty where neither
        is said, or where the server does not answer such questions.
        """

        async def attempt() -> Description:
            async with self.client.request(url or resource.url, method="HEAD") as reply:
                return described(reply.headers)

        try:
            return await self.client.retrying(resource, self.deadline, attempt)
        except RefusedByStatus as error:
            if error.status in _NO_HEAD:
                return Description()
            raise

    # files ------------------------------------------------------------------------------------

    async def download(
        self,
        resource: Resource,
        url: str,
        *,
        name: str,
        description: Description | None = None,
        kinds: Sequence[str] = (),
        check: Callable[[Path], int | None] | None = None,
    ) -> Artifact:
        """The file at `url`, whole, checked and kept; goes on with what came of it before.

        One that was kept already for this version, before the resource was complete, is not
        asked for again.

        Args:
            name: of the file, for people. description: of the file, where size and hash are
                known. kinds: media types that it may have. check: looks into the whole file, in a
                thread, and returns how many rows of data it has; what it raises ends the
                download, and nothing of the file is kept.
        """
        from ngsim_assets.acquisition.transfer.download import Expected, download
        from ngsim_assets.acquisition.transfer.partfile import LASTING, PartFile

        require_file_name(name)
        place = await self._noted_workplace()
        kept = self._kept_already(resource, url, name)
        if kept is not None:
            return kept
        self._began.setdefault(name, self._clock.monotonic())
        known = description or Description()
        expected = Expected(
            size=known.size,
            sha256=known.sha256,
            kinds=tuple(kinds),
            max_bytes=self._settings.artifact_bytes,
        )
        lasting = known.size is None or known.size >= LASTING
        with PartFile(place.part(url, name, lasting=lasting)) as part:
            await self._tell(ResourceStarted(resource, name, known.size, part.done.bytes))
            got = await download(
                self.client,
                resource,
                url,
                part,
                name=name,
                deadline=self.deadline,
                expected=expected,
                segments=self._settings.segments,
                tell=self._tell,
            )
            try:
                rows = None if check is None else await in_thread(check, got.path)
            except NgsimAssetsError:
                await in_thread(part.remove)
                raise
            artifact = Artifact(
                resource=resource,
                name=name,
                path=got.path,
                sha256=got.sha256,
                bytes=got.size,
                url=responses.redacted(got.url),
                fetched_at=self._now(),
                rows=rows,
                headers=kept_headers(got.headers),
                version=self.description.version,
                schema_version=self.schema_version,
            )

            def move() -> Stored:
                stored = self._store.keep(got.path, name, sha256=got.sha256)
                self._to_note.append(_as_kept(artifact, url))
                part.remove()
                return stored

            return replace(artifact, path=(await in_thread(move)).path)

    async def keep(
        self,
        resource: Resource,
        name: str,
        write: Callable[[Path], int | None] | Path,
        *,
        url: str,
        rows: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Artifact:
        """A file that is made here: pages put together, a member of an archive.

        Args:
            write: a path, which is moved; or what writes a file to the path that it gets, in a
                thread, and returns how many rows of data it has, None if that is not known.
            url: what it was made of.
        """
        require_file_name(name)
        self._began.setdefault(name, self._clock.monotonic())
        place = await self._noted_workplace()

        def make() -> tuple[Stored, int | None]:
            if isinstance(write, Path):
                return self._store.keep(write, name), None
            making = place.work(self.description.version) / f".{name}.new"
            making.unlink(missing_ok=True)
            counted = write(making)
            return self._store.keep(making, name), counted

        stored, counted = await in_thread(make)
        return Artifact(
            resource=resource,
            name=name,
            path=stored.path,
            sha256=stored.sha256,
            bytes=stored.bytes,
            url=responses.redacted(url),
            fetched_at=self._now(),
            rows=counted if rows is None else rows,
            headers=kept_headers(headers or {}),
            version=self.description.version,
            schema_version=self.schema_version,
        )

    def workplace(self, resource: Resource) -> Path:
        """A folder for what is under way of this version of `resource`.

        It survives cancellation and a kill, and goes when the resource is complete. Where the
        version is not known, what is found in it may be of an earlier one.
        """
        place = self._workplace()
        self._note_kept(place)
        return place.work(self.description.version)

    # telling ----------------------------------------------------------------------------------

    async def warn(self, resource: Resource, text: str) -> None:
        """Have somebody know of what does not stop the resource."""
        await self._tell(Warned(resource, text))

    async def begin(
        self, resource: Resource, part: str, total: int | None = None, resumed_from: int = 0
    ) -> None:
        """Tell that a part of `resource` begins that is not a download: a row of pages."""
        await self._tell(ResourceStarted(resource, part, total, resumed_from))

    async def progress(
        self, resource: Resource, part: str, done: int, total: int | None = None
    ) -> None:
        """Tell how many bytes of such a part are there; with `done` as `total` it is complete."""
        await self._tell(BytesReceived(resource, part, done, total))

    def seconds_of(self, name: str) -> float:
        """Since the file `name` was first asked for."""
        now = self._clock.monotonic()
        return now - self._began.get(name, now)

    # ------------------------------------------------------------------------------------------

    def note_kept(self) -> None:
        """Remember what is in its place already: the resource is not complete, and may never be.

        While there may be nothing more to come this is put off: a resource of one file, and there
        may be thousands, does not need it.
        """
        if self._place is not None:
            self._note_kept(self._place)

    def _note_kept(self, place: Workplace) -> None:
        if self._to_note:
            place.note(self._to_note)
            self._to_note.clear()

    async def _noted_workplace(self) -> Workplace:
        place = self._workplace()
        if self._to_note:
            await in_thread(self._note_kept, place)
        return place

    def _workplace(self) -> Workplace:
        if self._place is None:
            raise RuntimeError("files are fetched by `fetch`; there is no place for them here")
        return self._place

    def _kept_already(self, resource: Resource, url: str, name: str) -> Artifact | None:
        version = self.description.version
        for kept in self._workplace().kept() if version else ():
            if (kept.asked, kept.version, kept.name) == (responses.redacted(url), version, name):
                artifact = Artifact(
                    resource=resource,
                    name=name,
                    path=self._store.objects / kept.sha256 / name,
                    sha256=kept.sha256,
                    bytes=kept.bytes,
                    url=kept.url,
                    fetched_at=datetime.fromisoformat(kept.fetched_at),
                    headers=kept.headers,
                    version=version,
                    schema_version=self.schema_version,
                )
                return artifact if is_in_place(artifact) else None
        return None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)


def described(headers: Mapping[str, str]) -> Description:
    """What the head of a response says of its file."""
    tag = headers.get("ETag", "").strip()
    changed = headers.get("Last-Modified", "").strip()
    encoded = responses.content_encoding(headers)
    size = None if encoded else responses.content_length(headers)
    dated = f"{changed} {'' if size is None else size}".strip() if changed else ""
    return Description(version=tag or dated, size=size)


def _as_kept(artifact: Artifact, asked: str) -> KeptAlready:
    return KeptAlready(
        asked=responses.redacted(asked),
        version=artifact.version,
        name=artifact.name,
        sha256=artifact.sha256,
        bytes=artifact.bytes,
        url=artifact.url,
        fetched_at=artifact.fetched_at.isoformat(),
        headers=dict(artifact.headers),
    )
