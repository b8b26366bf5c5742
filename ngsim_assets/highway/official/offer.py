"""What the portal offers, beside what is held of it.

Belongs here: one look, without fetching anything. Does not belong here: downloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ngsim_assets.acquisition.errors import DamagedRecord
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.store import DownloadStore, Held
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.official.errors import NoAttachment
from ngsim_assets.highway.official.paging import view_now
from ngsim_assets.highway.official.portal import Addresses, View
from ngsim_assets.highway.official.queries import ROWS_BY_LOCATION, rows_by_location
from ngsim_assets.highway.official.source import (
    SOURCE,
    WAYS,
    NGSIMDataSource,
    Wanted,
    export_version,
)
from ngsim_assets.highway.sites import SITES
from ngsim_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """A download that there is, or was.

    Attributes:
        key: of the resource. offered: what the portal has of it now, empty if it has nothing or
            does not answer. state: how that stands beside what is `held`.
    """

    key: str
    offered: str
    state: str
    held: Held | None

    def row(self) -> dict[str, object]:
        """For people and machines."""
        held = self.held
        return {
            "download": self.key,
            "offered": self.offered,
            "state": self.state,
            "held since": f"{held.fetched_at:%Y-%m-%d %H:%M}" if held else "",
            "files": len(held.artifacts) if held else 0,
            "rows": sum(artifact.rows or 0 for artifact in held.artifacts) if held else None,
            "bytes": sum(artifact.bytes for artifact in held.artifacts) if held else None,
        }


async def look(settings: Settings) -> tuple[list[Offer], NgsimAssetsError | None]:
    """Every download, and why the portal did not answer if it did not."""
    try:
        view, rows = await _asked(settings)
    except NgsimAssetsError as error:
        return _offers(settings, None, {}), error
    return _offers(settings, view, rows), None


async def _asked(settings: Settings) -> tuple[View, Mapping[str, int]]:
    from ngsim_assets.acquisition.transfer.breaker import Breakers
    from ngsim_assets.acquisition.transfer.client import HttpClient
    from ngsim_assets.acquisition.transfer.limits import Limits

    addresses = Addresses(settings.portal)
    resource = Resource(SOURCE, "offer", addresses.view)
    client = HttpClient(
        Limits.of(settings),
        breakers=Breakers(
            DownloadStore(settings.downloads).breakers,
            failures=settings.breaker_failures,
            seconds=settings.breaker_seconds,
        ),
        secrets=NGSIMDataSource(settings, Wanted("export")).secrets(),
    )
    async with client:
        view = await view_now(client, resource, addresses)
        counts = await client.get_json(resource, addresses.figures, params=ROWS_BY_LOCATION)
    return view, rows_by_location(counts, addresses.figures)


def _offers(settings: Settings, view: View | None, rows: Mapping[str, int]) -> list[Offer]:
    store = DownloadStore(settings.downloads)
    found: list[Offer] = []
    for way in WAYS:
        for resource in NGSIMDataSource(settings, Wanted(way, tuple(SITES))).resources():
            held = _held(store, resource)
            highway = resource.labels["highway"]
            if view is None:
                offered, current = "", None
            elif way == "zip":
                offered, current = _attached(view, highway, held)
            elif way == "api":
                offered = f"{rows[highway]:,} rows" if rows.get(highway) else ""
                current = held is not None and held.fetched_at >= _updated(view)
            else:
                offered = f"{sum(rows.values()):,} rows"
                current = held is not None and held.version == export_version(view)
            found.append(Offer(resource.key, offered, _state(held, offered, current), held))
    return found


def _attached(view: View, highway: str, held: Held | None) -> tuple[str, bool]:
    try:
        attached = view.attached(SITES[highway].archive.name)
    except NoAttachment:
        return "", False
    return attached.name, held is not None and held.version == attached.version


def _state(held: Held | None, offered: str, current: bool | None) -> str:
    if current is None:
        return "held, the portal does not answer" if held else "the portal does not answer"
    if not offered:
        return "held, no longer offered" if held else "not offered"
    if held is None:
        return "not held"
    return "held as it is now" if current else "held, the portal has been updated since"


def _updated(view: View) -> datetime:
    return datetime.fromtimestamp(view.rows_updated_at, UTC)


def _held(store: DownloadStore, resource: Resource) -> Held | None:
    try:
        return store.held(resource.source, resource.key)
    except DamagedRecord:
        return None
