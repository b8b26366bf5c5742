"""A data portal on this machine: Socrata as far as NGSIM needs it, with its silent limits.

Belongs here: a table that is really queried, the export, attachments, and what goes wrong on
command. Does not belong here: what is expected of who downloads.

It serves from a thread of its own, so that commands can be run in the test's.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl
from aiohttp import web

from ngsim_assets.highway.formats import DELIVERED, LAYOUTS
from ngsim_assets.highway.official.portal import DATASET
from ngsim_assets.highway.simulation.row_printer import RowPrinter
from ngsim_assets.highway.sites import I_80
from ngsim_assets_tests.highway.deliveries import rows

MOST = 50_000
USUAL = 1000
_BLOCK = 16_384
_SENT = web.RequestKey("sent", int)


@dataclass(frozen=True)
class Seen:
    """A request: path, query, headers; status and bytes of the body that answered it."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    sent: int

    @property
    def is_page(self) -> bool:
        """Whether it asked for rows."""
        return self.path.endswith(f"/resource/{DATASET}.csv")


@dataclass
class FakePortal:
    """What the portal holds and how it behaves; everything may be changed while it serves.

    Attributes:
        rows: physical raw rows. written: when each was, by place. updated: rowsUpdatedAt.
        attachments: bytes by name. asset_ids: by name; new bytes get a new id.
        most: rows of an answer at most, silently. columns: extra or missing ones of the view.
        token: that every request must bring, if any. refusals: statuses of the next requests
            whose path contains the key. on_page: called before each page of rows is answered, gives
            seconds to wait.
        bytes_per_second: of one body, 0: no limit. counts_more: what count(*) adds.
        export_tag: ETag of the export, empty: as its rows. header_instead: of pages.
            tells_times: whether it says when rows were written.
        seen: every request that was answered.
    """

    rows: pl.DataFrame
    attachments: dict[str, bytes] = field(default_factory=dict)
    most: int = MOST
    columns: list[str] = field(default_factory=lambda: list(DELIVERED))
    token: str = ""
    refusals: dict[str, list[int]] = field(default_factory=dict)
    on_page: Callable[[int], float | None] = lambda number: None
    bytes_per_second: float = 0.0
    counts_more: int = 0
    export_tag: str = ""
    header_instead: bytes = b""
    tells_times: bool = True
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    updated: int = 1_700_000_000
    asset_ids: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(init=False)
    _pages: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.replace_rows(self.rows)
        for name in self.attachments:
            self.attach(name, self.attachments[name])

    # what changes ------------------------------------------------------------------------------

    def attach(self, name: str, body: bytes) -> None:
        """Attach a file, or replace it: as on the real portal, under an id of its own."""
        self.attachments[name] = body
        digest = hashlib.sha256(body + str(len(self.seen)).encode()).hexdigest()
        self.asset_ids[name] = f"{digest[:8]}-{digest[8:12]}"

    def change_row(self, place: int, column: str = "v_vel", by: int = 1) -> None:
        """Write one row anew."""
        there = pl.int_range(self.rows.height) == place
        changed = pl.when(there).then(pl.col(column) + by).otherwise(pl.col(column))
        self.rows = self.rows.with_columns(changed.cast(self.rows.schema[column]).alias(column))
        self._is_written(place)

    def replace_rows(self, rows: pl.DataFrame) -> None:
        """Publish another table."""
        self.rows = rows
        self.written = ["2016-09-01T00:00:00.000Z"] * rows.height
        self.updated += 1

    def add_rows(self, like: list[int], *, secretly: bool = False) -> None:
        """More rows, the same as others; `secretly` without a word in the description."""
        self.rows = pl.concat([self.rows, self.rows[like]])
        self.written += ["2016-09-01T00:00:00.000Z"] * len(like)
        if not secretly:
            self.updated += 1

    def _is_written(self, place: int) -> None:
        self.updated += 1
        self.written[place] = f"2026-01-01T00:00:{self.updated % 60:02d}.{self.updated:03d}Z"

    def forget(self) -> None:
        """As if nothing had been asked for yet."""
        self.seen.clear()

    @property
    def pages(self) -> list[Seen]:
        """Requests for rows that were answered with some."""
        return [seen for seen in self.seen if seen.is_page and seen.status == 200]

    def bodies(self, part: str) -> int:
        """Bytes sent in answer to requests whose path contains `part`."""
        return sum(seen.sent for seen in self.seen if part in seen.path)

    # serving -----------------------------------------------------------------------------------

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[FakePortal]:
        """Answer on this machine while the block runs; `url` says where."""
        started, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(port, started, stop)))
        thread.start()
        assert started.wait(10)
        try:
            yield self
        finally:
            stop.set()
            thread.join(10)

    async def _serve(self, port: int, started: threading.Event, stop: threading.Event) -> None:
        app = web.Application(middlewares=[self._guard])
        view = f"/api/views/{DATASET}"
        app.router.add_get(view, self._view)
        app.router.add_get(f"{view}/rows.csv", self._export)
        app.router.add_get(f"{view}/files/{{asset}}", self._file)
        app.router.add_get(f"/resource/{DATASET}.csv", self._page)
        app.router.add_get(f"/resource/{DATASET}.json", self._figures)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        server: Any = site._server
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.01)
        await runner.cleanup()

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        request[_SENT] = 0
        for part, statuses in self.refusals.items():
            if part in request.path_qs and statuses:
                response: web.StreamResponse = web.Response(
                    status=statuses.pop(0), headers={"Retry-After": "0"}, text="not now"
                )
                break
        else:
            if self.token and request.headers.get("X-App-Token") != self.token:
                response = web.Response(status=403, text="permission denied: X-App-Token")
            else:
                try:
                    response = await handler(request)
                except web.HTTPException as refused:
                    response = web.Response(status=refused.status, text=refused.text)
        sent = request[_SENT] or (
            len(response.body or b"") if isinstance(response, web.Response) else 0  # type: ignore[arg-type]
        )
        self.seen.append(
            Seen(request.path, dict(request.query), dict(request.headers), response.status, sent)
        )
        return response

    async def _view(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": DATASET,
                "name": "Next Generation Simulation (NGSIM) Vehicle Trajectories",
                "rowsUpdatedAt": self.updated,
                "viewLastModified": self.updated,
                "columns": [
                    {"fieldName": name, "name": name, "dataTypeName": _type(name)}
                    for name in self.columns
                ],
                "metadata": {
                    "attachments": [
                        {"filename": name, "name": name, "assetId": asset}
                        for name, asset in self.asset_ids.items()
                    ]
                },
            }
        )

    async def _export(self, request: web.Request) -> web.StreamResponse:
        body = print_rows(self.rows, "export")
        return await self._send(
            request, body, "text/csv", self.export_tag or f"rows-{self.updated}"
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        asset = request.match_info["asset"]
        for name, given in self.asset_ids.items():
            if given == asset:
                return await self._send(
                    request, self.attachments[name], "application/octet-stream", asset
                )
        raise web.HTTPNotFound(text="no such file")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self._pages += 1
        await asyncio.sleep(self.on_page(self._pages) or 0.0)
        query = request.query
        places = self._ask("place", query)["place"].to_list()
        body = print_rows(self.rows[places], "api")
        if self.header_instead:
            body = self.header_instead + body[body.index(b"\n") :]
        return await self._send(request, body, "text/csv", "")

    async def _figures(self, request: web.Request) -> web.Response:
        select = request.query["$select"]
        if ":updated_at" in select and not self.tells_times:
            raise web.HTTPBadRequest(text="query.soql.type-mismatch")
        found = self._ask(select, request.query)
        told = [
            {name: str(value) for name, value in row.items() if value is not None}
            for row in found.to_dicts()
        ]
        if select == "count(*) as n":
            told = [{"n": str(int(row["n"]) + self.counts_more)} for row in told]
        return web.json_response(told)

    def _ask(self, select: str, query: Mapping[str, str]) -> pl.DataFrame:
        """The portal's language is nearly SQL; what it names by colons is called otherwise here."""
        table = self.rows.with_columns(
            pl.col("location").cast(pl.String),
            pl.int_range(pl.len()).alias("place"),
            pl.Series("written", self.written),
        )
        asked = f"SELECT {select} FROM published"  # noqa: S608  # whatever is asked, of this table
        asked += f" WHERE {query['$where']}" if "$where" in query else ""
        asked += f" GROUP BY {query['$group']}" if "$group" in query else ""
        asked += f" ORDER BY {query['$order']}" if "$order" in query else ""
        asked += f" LIMIT {min(int(query.get('$limit', USUAL)), self.most)}"
        asked += f" OFFSET {int(query.get('$offset', 0))}"
        asked = asked.replace(":updated_at", "written").replace(":id", "place")
        with duckdb.connect() as connection:
            connection.register("published", table.to_arrow())
            try:
                return connection.sql(asked).pl()
            except duckdb.Error as error:
                raise web.HTTPBadRequest(text=f"query: {error}") from None

    async def _send(
        self, request: web.Request, body: bytes, kind: str, tag: str
    ) -> web.StreamResponse:
        headers = {"Content-Type": kind, "Accept-Ranges": "bytes"}
        if tag:
            headers["ETag"] = f'"{tag}"'
        if tag and request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        status, first, last = 200, 0, len(body) - 1
        asked = request.headers.get("Range", "")
        if tag and asked and request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
            if first > last:
                headers["Content-Range"] = f"bytes */{len(body)}"
                return web.Response(status=416, headers=headers)
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = last + 1 - first
        await response.prepare(request)
        began = time.monotonic()
        for start in range(first, last + 1, _BLOCK):
            block = body[start : min(start + _BLOCK, last + 1)]
            await response.write(block)
            request[_SENT] += len(block)
            if self.bytes_per_second:
                due = began + (start - first + len(block)) / self.bytes_per_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        await response.write_eof()
        return response


def recording() -> pl.DataFrame:
    """A recording of us-101 with as many vehicles as three seconds of a real one."""
    return rows(vehicles=190, frames=29)


def published() -> pl.DataFrame:
    """A table of it and of a few vehicles of i-80, in no order."""
    both = pl.concat([recording(), rows(I_80, vehicles=4, frames=50)])
    return both.sample(fraction=1, shuffle=True, seed=1)


def print_rows(rows: pl.DataFrame, layout: str) -> bytes:
    """Raw rows as a file of `text`, `csv`, `export` or `api`."""
    names = {"text": "freeway_text", "csv": "freeway_csv", "api": "api_csv"}
    printer = RowPrinter(LAYOUTS[names.get(layout, layout)])
    return bytes(printer.header()) + bytes(printer.print(rows))


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip with these members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return packed.getvalue()


def _type(column: str) -> str:
    return "text" if column == "location" else "number"
