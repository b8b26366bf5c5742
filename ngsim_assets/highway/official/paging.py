"""Rows by query: asked for page by page, checked against what the portal counts.

Belongs here: the order of requests, and starting anew where the table changes meanwhile. Does not
belong here: which queries there are (queries.py), pages on disk (assembly.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer.errors import RequestRefused
from ngsim_assets.acquisition.transfer.threads import in_thread
from ngsim_assets.highway.official.assembly import Index, PageFolder
from ngsim_assets.highway.official.errors import (
    RowsMissing,
    TableKeepsChanging,
    TruncatedAnswer,
)
from ngsim_assets.highway.official.portal import Addresses, View, view_of
from ngsim_assets.highway.official.queries import (
    Page,
    Selection,
    Vehicle,
    counted,
    fingerprint,
    pages_of,
    vehicles_of,
)

if TYPE_CHECKING:
    from ngsim_assets.acquisition.session import Session

ATTEMPTS = 3
"""Times that a table which changes meanwhile is begun anew."""

_AT_ONCE = 4
"""Pages asked for at the same time: each is some 10 MB of memory until it is on the disk."""


class Asks(Protocol):
    """What small answers can be had from: a session, or a client without one."""

    async def get_json(
        self, resource: Resource, url: str, *, params: Mapping[str, str] | None = None
    ) -> object:
        """The JSON at `url`."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched.

    Attributes:
        view: of the dataset when it was made. pages: queries, in the order of their rows.
    """

    view: View
    pages: tuple[Page, ...]

    @property
    def rows(self) -> int:
        """In all."""
        return sum(page.rows for page in self.pages)

    @property
    def version(self) -> str:
        """Differs wherever the rows do, and does not where only those of others changed."""
        return fingerprint([page.fingerprint for page in self.pages])


async def view_now(session: Asks, resource: Resource, addresses: Addresses) -> View:
    """What the portal says of the dataset now."""
    return view_of(await session.get_json(resource, addresses.view), addresses.view)


async def count_now(
    session: Asks, resource: Resource, addresses: Addresses, query: dict[str, str]
) -> int:
    """The number that a query for one gives now."""
    document = await session.get_json(resource, addresses.figures, params=query)
    return counted(document, addresses.figures)


async def plan_now(
    session: Asks,
    resource: Resource,
    addresses: Addresses,
    selection: Selection,
    page_rows: int,
) -> Plan:
    """What would have to be fetched now. Raises RowsMissing where the portal's counts differ."""
    for _ in range(ATTEMPTS):
        view = await view_now(session, resource, addresses)
        vehicles = await _vehicles_now(session, resource, addresses, selection, view)
        columns = [[column.name, column.type] for column in view.columns]
        pages = pages_of(
            vehicles, basis=fingerprint(selection.condition, columns), page_rows=page_rows
        )
        plan = Plan(view, pages)
        total = await count_now(session, resource, addresses, selection.count())
        if plan.rows == total:
            return plan
        if (await view_now(session, resource, addresses)).rows_updated_at == view.rows_updated_at:
            raise RowsMissing(addresses.figures, "the list of vehicles", plan.rows, total)
    raise TableKeepsChanging(addresses.view, ATTEMPTS)


async def _vehicles_now(
    session: Asks, resource: Resource, addresses: Addresses, selection: Selection, view: View
) -> list[Vehicle]:
    """What the portal counts of each vehicle.

    Where it does not tell when rows of a vehicle were written, all are as new as the table.
    """
    try:
        query = selection.vehicles()
        document = await session.get_json(resource, addresses.figures, params=query)
    except RequestRefused as error:
        if error.status != 400:
            raise
        query = selection.vehicles(timed=False)
        document = await session.get_json(resource, addresses.figures, params=query)
    return vehicles_of(document, addresses.figures, str(view.rows_updated_at))


@dataclass(frozen=True, slots=True)
class Earlier:
    """The file of an earlier download, and where its pages are in it."""

    path: Path
    index: Index


class Paging:
    """The rows of a selection on their way into one file."""

    def __init__(
        self,
        session: Session,
        resource: Resource,
        addresses: Addresses,
        selection: Selection,
        page_rows: int,
    ) -> None:
        self._session = session
        self._resource = resource
        self._addresses = addresses
        self._selection = selection
        self._page_rows = page_rows
        self._folder = PageFolder(session.workplace(resource), addresses.rows)

    async def fetch(self, plan: Plan, earlier: Earlier | None) -> Plan:
        """Have every page on the disk; the plan that they are of.

        A table that was updated meanwhile is planned anew: pages that did not change are kept.
        Raises TableKeepsChanging and what is wrong with a page.
        """
        for _ in range(ATTEMPTS):
            try:
                await self._fetch_pages(plan, earlier)
            except (RowsMissing, TruncatedAnswer):  # perhaps since rows came and went meanwhile
                if not await self._has_changed(plan):
                    raise
            else:
                if not await self._has_changed(plan):
                    return plan
            plan = await plan_now(
                self._session,
                self._resource,
                self._addresses,
                self._selection,
                self._page_rows,
            )
        raise TableKeepsChanging(self._addresses.view, ATTEMPTS)

    def put_together(self, plan: Plan, target: Path) -> Index:
        """Write the pages to `target` as one file; where they are in it."""
        return self._folder.put_together(plan.pages, target)

    async def _has_changed(self, plan: Plan) -> bool:
        now = await view_now(self._session, self._resource, self._addresses)
        return now.rows_updated_at != plan.view.rows_updated_at

    async def _fetch_pages(self, plan: Plan, earlier: Earlier | None) -> None:
        missing = [page for page in plan.pages if not self._folder.has(page)]
        if earlier is not None and missing:
            missing = await in_thread(self._without_unchanged, missing, earlier)
        there = self._folder.size(set(plan.pages) - set(missing))
        fetched = plan.rows - sum(page.rows for page in missing)
        under_way = _UnderWay(self._session, self._resource, plan.rows, fetched, there)
        await under_way.begin()
        waiting = iter(missing)
        workers = [asyncio.create_task(self._work(waiting, under_way)) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _without_unchanged(self, pages: list[Page], earlier: Earlier) -> list[Page]:
        with earlier.path.open("rb") as file:
            return [page for page in pages if not self._folder.keep_from(page, earlier.index, file)]

    async def _work(self, waiting: Iterator[Page], under_way: _UnderWay) -> None:
        for page in waiting:
            got = await self._session.get(
                self._resource, self._addresses.rows, params=self._selection.page(page)
            )
            await in_thread(self._folder.keep, page, got.body)
            await under_way.received(page, len(got.body))


class _UnderWay:
    """How far the pages are, told as one part whose size is estimated from its rows."""

    def __init__(
        self, session: Session, resource: Resource, rows: int, fetched: int, there: int
    ) -> None:
        self._session = session
        self._resource = resource
        self._name = f"{rows:,} rows"
        self._rows = rows
        self._fetched = fetched
        self._bytes = there

    async def begin(self) -> None:
        """What earlier attempts left is no news."""
        await self._session.begin(self._resource, self._name, self._total, self._bytes)

    async def received(self, page: Page, size: int) -> None:
        """One more page is on the disk."""
        self._fetched += page.rows
        self._bytes += size
        await self._session.progress(self._resource, self._name, self._bytes, self._total)

    @property
    def _total(self) -> int | None:
        if self._fetched >= self._rows:
            return self._bytes
        # only what is complete may have its size as its total
        if not self._fetched:
            return None
        return max(round(self._bytes * self._rows / self._fetched), self._bytes + 1)
