"""Three ways of the portal: whole, checked, only what changed, and named where it fails."""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult, Outcome
from ngsim_assets.acquisition.transfer.errors import AccessRefused, WrongHash
from ngsim_assets.highway.official.errors import (
    NoAttachment,
    NoRows,
    NotTheKnownArchive,
    OtherHeader,
    RowsMissing,
    TableKeepsChanging,
    TruncatedAnswer,
    UnusableArchive,
)
from ngsim_assets.highway.official.source import NGSIMDataSource, Wanted, Way
from ngsim_assets.highway.sites import US_101, Archive
from ngsim_assets.settings import load_settings
from ngsim_assets_tests.highway.official.portal import FakePortal, print_rows, recording, zipped

PAGE_ROWS = 1500


def archive_of(body: bytes) -> Archive:
    """What is known of an archive with these bytes."""
    return replace(US_101.archive, size=len(body), sha256=hashlib.sha256(body).hexdigest()[:8])


def download(
    way: Way,
    *highways: str,
    narrowed: str = "",
    accept_new: bool = False,
    known: Archive | None = None,
    **settings: object,
) -> IngestionResult:
    """One run of the pipeline."""
    loaded = load_settings(**settings)
    wanted = Wanted(way, highways or ("us-101",), narrowed, accept_new)
    archives = {"us-101": known or US_101.archive}
    source = NGSIMDataSource(loaded, wanted, archives=archives, page_rows=PAGE_ROWS)
    (result,) = asyncio.run(AsyncETLPipeline(loaded).run([source]))
    return result


def only(result: IngestionResult) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def failure(result: IngestionResult) -> Exception:
    """The error of the only resource, of which nothing was kept under its name."""
    outcome = only(result)
    assert outcome.status == "failed"
    assert outcome.error is not None
    return outcome.error


def lines(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines())


# queries ---------------------------------------------------------------------------------------


def test_every_row_of_a_highway_comes_once_and_under_one_header(
    portal: FakePortal, data: Path
) -> None:
    result = download("api")
    (artifact,) = only(result).artifacts
    assert (result.status, artifact.rows) == ("fetched", recording().height)
    assert lines(artifact.path) == sorted(print_rows(recording(), "api").splitlines())
    assert artifact.path.read_bytes().startswith(b'"vehicle_id","frame_id"')
    assert len(portal.pages) > recording().height // PAGE_ROWS
    assert all(int(page.query["$limit"]) <= PAGE_ROWS + 1 for page in portal.pages)
    assert not any("$offset" in page.query for page in portal.pages)
    assert artifact.schema_version == 1
    assert list((data / "downloads" / "parts").glob("*")) == []


def test_an_unchanged_table_is_not_asked_for_rows(portal: FakePortal, data: Path) -> None:
    first = download("api", "us-101", "i-80")
    portal.forget()
    second = download("api", "us-101", "i-80")
    assert second.status == "unchanged"
    assert second.artifacts == first.artifacts
    assert portal.pages == []


def test_of_a_changed_row_only_its_page_is_fetched(portal: FakePortal, data: Path) -> None:
    download("api", "us-101", "i-80")
    portal.forget()
    place = portal.rows["location"].to_list().index("us-101")
    portal.change_row(place)
    result = download("api", "us-101", "i-80")
    assert [outcome.status for outcome in result.outcomes] == ["fetched", "unchanged"]
    (page,) = portal.pages
    assert page.sent < only_bytes(result) / 3
    changed = portal.rows.filter(pl.col("location") == "us-101")
    assert lines(result.artifacts[0].path) == sorted(print_rows(changed, "api").splitlines())


def only_bytes(result: IngestionResult) -> int:
    return result.artifacts[0].bytes


def test_where_the_portal_tells_no_times_an_updated_table_is_fetched_anew(
    portal: FakePortal, data: Path
) -> None:
    portal.tells_times = False
    result = download("api")
    assert (result.status, result.rows) == ("fetched", recording().height)
    pages = len(portal.pages)
    assert download("api").status == "unchanged"
    assert len(portal.pages) == pages
    portal.change_row(portal.rows["location"].to_list().index("us-101"))
    assert download("api").status == "fetched"
    assert len(portal.pages) == 2 * pages


def test_a_narrowed_query_is_a_download_of_its_own(portal: FakePortal, data: Path) -> None:
    result = download("api", narrowed="vehicle_id<=20 OR frame_id=12")
    (artifact,) = only(result).artifacts
    wanted = portal.rows.filter(
        pl.col("location") == "us-101", (pl.col("vehicle_id") <= 20) | (pl.col("frame_id") == 12)
    )
    assert artifact.rows == wanted.height > 0
    assert only(result).resource.key.startswith("us-101/api-")
    assert isinstance(failure(download("api", narrowed="vehicle_id=777")), NoRows)


def test_a_page_that_is_cut_silently_is_a_named_failure(portal: FakePortal, data: Path) -> None:
    portal.most = 500
    error = failure(download("api"))
    assert isinstance(error, RowsMissing)
    assert error.found == 500
    assert list((data / "downloads").glob("objects/*/*")) == []


def test_more_rows_than_were_counted_are_a_named_failure(portal: FakePortal, data: Path) -> None:
    def sneak(number: int) -> None:
        if number == 2:
            portal.add_rows(list(range(0, portal.rows.height, 5)), secretly=True)

    portal.on_page = sneak
    error = failure(download("api"))
    assert isinstance(error, TruncatedAnswer)
    assert "more than were counted" in error.problem


def test_counts_that_differ_are_a_named_failure(portal: FakePortal, data: Path) -> None:
    portal.counts_more = 1
    error = failure(download("api"))
    assert isinstance(error, RowsMissing)
    assert error.counted == error.found + 1
    assert portal.pages == []


def test_a_table_that_is_updated_meanwhile_is_begun_anew(portal: FakePortal, data: Path) -> None:
    place = portal.rows["location"].to_list().index("us-101")
    portal.on_page = lambda number: portal.change_row(place) if number == 2 else None
    result = download("api")
    assert result.status == "fetched"
    rows = portal.rows.filter(pl.col("location") == "us-101")
    assert lines(result.artifacts[0].path) == sorted(print_rows(rows, "api").splitlines())

    portal.on_page = lambda number: portal.change_row(place)
    portal.change_row(place)
    assert only(download("api")).status == "cached"
    assert isinstance(only(download("api")).error, TableKeepsChanging)


def test_pages_under_other_headers_are_not_mixed(portal: FakePortal, data: Path) -> None:
    def rename(number: int) -> None:
        if number == 3:
            portal.header_instead = b'"vehicle_id","frame_id","global_time","local_x","local_y"'

    portal.on_page = rename
    assert isinstance(failure(download("api")), OtherHeader)
    assert list((data / "downloads").glob("objects/*/*")) == []


def test_a_failed_download_goes_on_at_the_page_that_was_missing(
    portal: FakePortal, data: Path
) -> None:
    def refuse(number: int) -> None:
        if number == 5:  # four are asked for at once, so at least one is kept by then
            raise web.HTTPBadRequest(text="not this one")

    portal.on_page = refuse
    assert only(download("api")).status == "failed"
    kept = len(list((data / "downloads" / "parts").rglob("[!.]*.csv")))
    assert kept >= 1
    portal.on_page = lambda number: None
    portal.forget()
    result = download("api")
    assert result.status == "fetched"
    resumed = len(portal.pages)
    portal.forget()
    assert download("api", data=data.parent / "another").rows == result.rows
    assert len(portal.pages) == resumed + kept


def test_the_portal_may_ask_for_patience(portal: FakePortal, data: Path) -> None:
    portal.refusals = {".csv": [429, 429], ".json": [503]}
    result = download("api")
    assert result.status == "fetched"
    assert result.attempts == 4


def test_unusual_columns_are_told(portal: FakePortal, data: Path) -> None:
    portal.columns = [*portal.columns[:-2], "location", "weather", ":@computed_region_x"]
    result = download("api")
    assert [text.split(": ", 1)[1] for text in result.warnings] == [
        "the portal has columns that are not read: weather",
        "the portal has these columns no longer: time_headway",
    ]


# the export ------------------------------------------------------------------------------------


def test_the_export_is_counted_and_not_sent_twice(portal: FakePortal, data: Path) -> None:
    result = download("export")
    (artifact,) = only(result).artifacts
    assert (result.status, artifact.rows) == ("fetched", portal.rows.height)
    assert artifact.path.read_bytes() == print_rows(portal.rows, "export")
    portal.forget()
    assert download("export").status == "unchanged"
    assert portal.bodies("rows.csv") == 0


def test_an_export_that_is_the_same_file_is_not_sent_though_the_table_was_touched(
    portal: FakePortal, data: Path
) -> None:
    portal.export_tag = "same"
    download("export")
    portal.updated += 1
    portal.forget()
    assert download("export").status == "unchanged"
    assert portal.bodies("rows.csv") == 0
    assert [seen.status for seen in portal.seen if "rows.csv" in seen.path] == [304]


def test_an_export_with_other_rows_in_number_is_not_kept(portal: FakePortal, data: Path) -> None:
    portal.counts_more = 3
    error = failure(download("export"))
    assert isinstance(error, RowsMissing)
    assert list((data / "downloads").glob("objects/*/*")) == []
    portal.counts_more = 0
    assert download("export").status == "fetched"


# attached archives -----------------------------------------------------------------------------


@pytest.fixture
def official() -> dict[str, bytes]:
    """Members as the official archive has them: a zip within, text beside CSV, documents."""
    period = print_rows(recording(), "text")
    cut = print_rows(recording().head(1000), "csv")
    folder = "vehicle-trajectory-data/0750am-0805am/trajectories-0750am-0805am"
    return {
        "data/US-101-Main-Data.zip": zipped({f"{folder}.txt": period, f"{folder}.csv": cut}),
        "data/readme.txt": b"Read me.\n",
        "data/map.pdf": b"%PDF-1.4",
    }


def test_the_trajectories_of_an_archive_become_files_of_their_own(
    portal: FakePortal, data: Path, official: dict[str, bytes]
) -> None:
    body = zipped(official)
    portal.attach("US-101-LosAngeles-CA.zip", body)
    result = download("zip", known=archive_of(body))
    packed, text = only(result).artifacts
    assert (result.status, result.warnings) == ("fetched", ())
    assert packed.path.read_bytes() == body
    assert (text.name, text.rows) == ("trajectories-0750am-0805am.txt", recording().height)
    assert text.path.read_bytes() == print_rows(recording(), "text")
    portal.forget()
    assert download("zip", known=archive_of(body)).status == "unchanged"
    assert portal.bodies("/files/") == 0


def test_another_asset_id_is_another_file(
    portal: FakePortal, data: Path, official: dict[str, bytes]
) -> None:
    portal.attach("US-101-LosAngeles-CA.zip", zipped(official))
    first = download("zip", accept_new=True)
    assert "is not the known one" in first.warnings[0]
    more = {**official, "extra.csv": print_rows(recording().tail(50), "csv")}
    portal.attach("US-101-LosAngeles-CA.zip", zipped(more))
    second = download("zip", accept_new=True)
    assert second.status == "fetched"
    assert [artifact.name for artifact in second.artifacts][1:] == [
        "trajectories-0750am-0805am.txt",
        "extra.csv",
    ]
    assert second.artifacts[2].rows == 50


def test_an_archive_that_is_not_the_known_one_is_refused(
    portal: FakePortal, data: Path, official: dict[str, bytes]
) -> None:
    body = zipped(official)
    portal.attach("US-101-LosAngeles-CA.zip", body)
    other = replace(archive_of(body), sha256="830442bb")
    error = failure(download("zip", known=other, retries=0))
    assert isinstance(error, NotTheKnownArchive)
    assert isinstance(error, WrongHash)
    assert "--accept-new" in error.fix
    assert list((data / "downloads").glob("objects/*/*")) == []
    accepted = download("zip", known=other, accept_new=True)
    assert accepted.status == "fetched"
    assert hashlib.sha256(body).hexdigest() in accepted.warnings[0]


def test_an_archive_that_is_not_attached_is_named(portal: FakePortal, data: Path) -> None:
    portal.attach("US-101-Reports.zip", b"")
    error = failure(download("zip"))
    assert isinstance(error, NoAttachment)
    assert "there are US-101-Reports.zip" in error.problem


def dangerous() -> Iterator[tuple[str, bytes, str]]:
    rows = b"1 1 1 1118846980000 " + b"1 " * 14 + b"\n"
    yield "traversal", zipped({"../../trajectories.txt": rows}), "path traversal"
    yield "bomb", zipped({"trajectories.txt": b"0" * (64 << 20)}), "bomb"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("trajectories.txt", rows)
    encrypted = bytearray(packed.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + offset] |= 1
    yield "encrypted", bytes(encrypted), "encrypted"
    yield "documents", zipped({"readme.txt": b"Read me.\n"}), "holds no NGSIM"
    yield "no zip", b"PK\x03\x04 and so on", "damaged"


@pytest.mark.parametrize(
    ("body", "reason"), [pytest.param(body, why, id=name) for name, body, why in dangerous()]
)
def test_a_dangerous_archive_is_not_unpacked(
    portal: FakePortal, data: Path, body: bytes, reason: str
) -> None:
    portal.attach("US-101-LosAngeles-CA.zip", body)
    error = failure(download("zip", known=archive_of(body)))
    assert isinstance(error, UnusableArchive)
    assert reason in error.problem
    kept = [path.name for path in data.parent.rglob("*") if path.is_file()]
    assert [name for name in kept if name.endswith(".txt")] == []
    portal.forget()
    download("zip", known=archive_of(body))
    assert portal.bodies("/files/") == 0, "what came whole is not asked for again"


# when the portal is away -----------------------------------------------------------------------


def test_what_was_fetched_earlier_stays_in_use(portal: FakePortal, data: Path) -> None:
    first = download("api")
    portal.refusals = {"/": [500] * 50}
    again = download("api", retries=0)
    assert again.status == "cached"
    assert again.artifacts == first.artifacts
    assert only(again).error is not None


def test_the_token_goes_to_the_portal_and_nowhere_else(portal: FakePortal, data: Path) -> None:
    portal.token = "s3cr3t-t0ken"  # noqa: S105  # of a portal that is none
    assert isinstance(failure(download("api")), AccessRefused)
    result = download("api", soda_app_token=portal.token)
    assert result.status == "fetched"
    assert {seen.headers.get("X-App-Token") for seen in portal.seen} == {None, portal.token}
    assert not any(portal.token in str(seen.query) for seen in portal.seen)
    for path in data.rglob("*"):
        assert portal.token not in path.name
        assert not path.is_file() or portal.token.encode() not in path.read_bytes()
    assert portal.token not in str(result.summary())
