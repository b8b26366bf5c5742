"""NGSIM as its publisher offers it, in three ways: attached archives, queries, the export.

Belongs here: which resources there are, what is known of each before it is fetched, and what of
it becomes a file. Does not belong here: requests, resuming and keeping (acquisition/), the portal's
forms (portal.py), paging (paging.py), where files go then (handing_over.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import (
    Artifact,
    AsyncDataSource,
    Description,
    Resource,
)
from ngsim_assets.acquisition.store import DownloadStore, Held
from ngsim_assets.acquisition.transfer.errors import WrongHash, WrongLength
from ngsim_assets.acquisition.transfer.responses import host_of
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.highway.errors import SourceError, UnknownHighway
from ngsim_assets.highway.formats import canonical_locations
from ngsim_assets.highway.official import members
from ngsim_assets.highway.official.assembly import Index, refuse_other_content
from ngsim_assets.highway.official.counting import lines_in
from ngsim_assets.highway.official.errors import (
    NoRows,
    NotTheKnownArchive,
    RowsMissing,
    UnusableArchive,
)
from ngsim_assets.highway.official.paging import (
    Earlier,
    Paging,
    Plan,
    count_now,
    plan_now,
    view_now,
)
from ngsim_assets.highway.official.portal import Addresses, View
from ngsim_assets.highway.official.queries import PAGE_ROWS, Selection, fingerprint
from ngsim_assets.highway.sites import SITES, Archive
from ngsim_assets.highway.source import SourceMember
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ngsim_assets.acquisition.session import Session

SOURCE = "ngsim"
ALL = "all"
"""What stands in place of a highway where a file holds every one."""

Way = Literal["zip", "api", "export"]
WAYS: tuple[Way, ...] = ("zip", "api", "export")

_ZIPS = ("application/zip", "application/x-zip-compressed")
_CSVS = ("text/csv", "text/plain")
_EXPORT_COUNT = {"$select": "count(*) as n"}
_EXPORT_NAME = "rows.csv"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the portal.

    Attributes:
        way: `zip`, `api` or `export`. highways: by key; the export holds every one anyway.
        narrowed: condition in the portal's language that rows of `api` meet.
        accept_new: take an archive that is not the known one.
    """

    way: Way
    highways: tuple[str, ...] = ()
    narrowed: str = ""
    accept_new: bool = False


def known_highways(names: Sequence[str]) -> tuple[str, ...]:
    """Keys of sites that go by these names, each once, in their order. Raises UnknownHighway."""
    spellings = canonical_locations()
    found: list[str] = []
    for name in names:
        key = spellings.get(name.strip().lower())
        if key is None:
            raise UnknownHighway(name, list(SITES))
        found.append(key)
    return tuple(dict.fromkeys(found))


def listed(highways: str) -> list[str]:
    """Names in a setting, which separates them by commas."""
    return [name for part in highways.split(",") if (name := part.strip())]


def export_version(view: View) -> str:
    """Version of the export: that of the rows in it."""
    return f"rows-{view.rows_updated_at}"


class NGSIMDataSource(AsyncDataSource):
    """The NGSIM dataset on the portal of the settings.

    Args:
        wanted: what to offer. archives: what is known of the attachments, by highway.
        page_rows: rows of a page of queries at most.
    """

    name = SOURCE

    def __init__(
        self,
        settings: Settings,
        wanted: Wanted,
        *,
        archives: Mapping[str, Archive] | None = None,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._addresses = Addresses(settings.portal)
        self._archives = archives or {key: site.archive for key, site in SITES.items()}
        self._page_rows = page_rows
        self._store = DownloadStore(settings.downloads)
        self._views: dict[str, View] = {}
        self._plans: dict[str, Plan] = {}

    def secrets(self) -> Mapping[str, Mapping[str, SecretStr]]:
        """The token of the portal, for the portal alone."""
        token = self._settings.soda_app_token
        if token is None or not token.get_secret_value():
            return {}
        return {host_of(self._settings.portal): {"X-App-Token": token}}

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        """One resource per highway, or one for all; nothing is asked, since what there is is known.

        Where the portal cannot be reached, what was fetched of each earlier can so be used.
        """
        for resource in self.resources():
            yield resource

    def resources(self) -> list[Resource]:
        """What `discover` gives."""
        way, addresses = self._wanted.way, self._addresses
        if way == "export":
            return [Resource(SOURCE, f"{ALL}/export", addresses.export, {"highway": ALL})]
        url = addresses.view if way == "zip" else addresses.rows
        return [
            Resource(SOURCE, self._key(highway), url, {"highway": highway})
            for highway in self._wanted.highways
        ]

    def _key(self, highway: str) -> str:
        narrowed = self._wanted.narrowed
        part = f"-{fingerprint(narrowed)[:8]}" if narrowed and self._wanted.way == "api" else ""
        return f"{highway}/{self._wanted.way}{part}"

    async def describe(self, session: Session, resource: Resource) -> Description:
        """What the portal says of it now; unusual columns of its rows are told as warnings."""
        match self._wanted.way:
            case "zip":
                view, description = await self._describe_zip(session, resource)
            case "api":
                view, description = await self._describe_api(session, resource)
            case "export":
                view, description = await self._describe_export(session, resource)
        for text in view.unfamiliar() if description.columns else ():
            await session.warn(resource, text)
        self._views[resource.key] = view
        return description

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        """The archive and its trajectories; the rows of all pages in one file; the export."""
        match self._wanted.way:
            case "zip":
                files = self._fetch_zip(session, resource, description)
            case "api":
                files = self._fetch_api(session, resource)
            case "export":
                files = self._fetch_export(session, resource, description)
        async with aclosing(files):
            async for artifact in files:
                yield artifact

    # attached archives -------------------------------------------------------------------------

    async def _describe_zip(self, session: Session, resource: Resource) -> tuple[View, Description]:
        view = await view_now(session, resource, self._addresses)
        known = self._archives[resource.labels["highway"]]
        attached = view.attached(known.name)
        if self._wanted.accept_new:
            return view, Description(attached.version, attached.size)
        return view, Description(attached.version, known.size, known.sha256)

    async def _fetch_zip(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncGenerator[Artifact]:
        known = self._archives[resource.labels["highway"]]
        attached = self._views[resource.key].attached(known.name)
        address = self._addresses.attachment(attached.asset_id, attached.name)
        try:
            packed = await session.download(
                resource, address, name=known.name, description=description, kinds=_ZIPS
            )
        except (WrongHash, WrongLength) as error:
            raise NotTheKnownArchive(address, known.name, known.sha256, error.problem) from error
        yield packed
        if packed.bytes != known.size or not packed.sha256.startswith(known.sha256):
            await session.warn(
                resource,
                f"{known.name} is not the known one (SHA-256 {known.sha256}...): its SHA-256 is"
                f" {packed.sha256}, {packed.bytes:,} bytes; taken, as asked",
            )
        try:
            choice = await in_thread(members.choose, packed.path)
            for remark in choice.remarks:
                await session.warn(resource, remark)
            for chosen in choice.chosen:

                def write(target: Path, member: SourceMember = chosen.member) -> int:
                    return members.rows_of(members.unpack(member, target))

                yield await session.keep(resource, chosen.name, write, url=address)
        except SourceError as error:
            raise UnusableArchive(known.name, error) from error

    # queries -----------------------------------------------------------------------------------

    async def _describe_api(self, session: Session, resource: Resource) -> tuple[View, Description]:
        plan = await plan_now(
            session, resource, self._addresses, self._selection(resource), self._page_rows
        )
        self._plans[resource.key] = plan
        return plan.view, Description(plan.version, rows=plan.rows, columns=plan.view.columns)

    async def _fetch_api(self, session: Session, resource: Resource) -> AsyncGenerator[Artifact]:
        selection = self._selection(resource)
        paging = Paging(session, resource, self._addresses, selection, self._page_rows)
        plan = await paging.fetch(
            self._plans[resource.key], await in_thread(self._earlier, resource)
        )
        if not plan.pages:
            raise NoRows(self._addresses.rows, selection.condition)
        made: list[Index] = []

        def write(target: Path) -> int:
            made.append(paging.put_together(plan, target))
            return plan.rows

        name = f"{resource.key.replace('/', '-')}.csv"
        artifact = await session.keep(resource, name, write, url=self._addresses.rows)
        index = Index(artifact.sha256, made[0].header, made[0].places)
        await in_thread(index.write, self._index(resource))
        yield artifact

    def _selection(self, resource: Resource) -> Selection:
        return Selection(resource.labels["highway"], self._wanted.narrowed)

    def _index(self, resource: Resource) -> Path:
        """Where it is written which page is where in the file of a resource."""
        return self._settings.downloads / "pages" / SOURCE / f"{resource.key}.json"

    def _held(self, resource: Resource) -> Held | None:
        with suppress(DamagedRecord):  # the pipeline tells of it
            return self._store.held(SOURCE, resource.key)
        return None

    def _earlier(self, resource: Resource) -> Earlier | None:
        held = self._held(resource)
        index = Index.read(self._index(resource))
        for artifact in held.artifacts if held is not None else ():
            if artifact.sha256 == index.sha256:
                return Earlier(artifact.path, index)
        return None

    # the export --------------------------------------------------------------------------------

    async def _describe_export(
        self, session: Session, resource: Resource
    ) -> tuple[View, Description]:
        view = await view_now(session, resource, self._addresses)
        rows = await count_now(session, resource, self._addresses, _EXPORT_COUNT)
        version = export_version(view)
        held = await in_thread(self._held, resource)
        if (
            held is not None
            and held.version != version
            and await self._is_as_held(session, resource, held)
        ):
            version = held.version
        return view, Description(version, rows=rows, columns=view.columns)

    async def _is_as_held(self, session: Session, resource: Resource, held: Held) -> bool:
        """Whether the server says by the file's validators that it is the one held."""
        headers = held.artifacts[0].headers
        if "etag" in headers:
            asked = {"If-None-Match": headers["etag"]}
        elif "last-modified" in headers:
            asked = {"If-Modified-Since": headers["last-modified"]}
        else:
            return False

        async def ask() -> bool:
            async with session.client.request(self._addresses.export, headers=asked) as reply:
                return reply.status == 304

        return await session.client.retrying(resource, session.deadline, ask)

    async def _fetch_export(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncGenerator[Artifact]:
        def check(path: Path) -> int:
            lines = lines_in(path)
            refuse_other_content(self._addresses.export, _EXPORT_NAME, lines.header)
            if description.rows is not None and lines.rows != description.rows:
                raise RowsMissing(
                    self._addresses.export, _EXPORT_NAME, lines.rows, description.rows
                )
            return lines.rows

        artifact = await session.download(
            resource, self._addresses.export, name=_EXPORT_NAME, kinds=_CSVS, check=check
        )
        now = await view_now(session, resource, self._addresses)
        if now.rows_updated_at != self._views[resource.key].rows_updated_at:
            await session.warn(
                resource,
                "the table was updated while it was exported; the next run fetches it anew",
            )
        yield replace(artifact, rows=description.rows)
