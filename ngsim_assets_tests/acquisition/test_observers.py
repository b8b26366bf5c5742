"""What people, logs, metrics and Dagster are told of a pipeline is what happens in it."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from ngsim_assets import console
from ngsim_assets.acquisition.events import (
    ArtifactStored,
    BreakerChanged,
    BytesReceived,
    Degraded,
    Event,
    Observer,
    ResourceFinished,
    ResourceStarted,
    Retrying,
    SourceFinished,
    SourceStarted,
    Warned,
)
from ngsim_assets.acquisition.observers.log import LogObserver
from ngsim_assets.acquisition.observers.metrics import MetricsObserver
from ngsim_assets.acquisition.observers.progress import (
    MovingProgress,
    PlainProgress,
    showing_progress,
)
from ngsim_assets.acquisition.observers.received import Received
from ngsim_assets.acquisition.observers.to_logger import ToLogger
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult, Outcome
from ngsim_assets.acquisition.sources import Artifact, Resource
from ngsim_assets.acquisition.transfer.errors import NotFound
from ngsim_assets.observability import logs
from ngsim_assets.observability.metrics import IngestionMetrics
from ngsim_assets_tests.acquisition.shelves import FastClock, Shelf, ShelfSource, quick, rows

ZIP = Resource("ngsim", "us-101/zip", "https://example.org/a.zip", {"highway": "us-101"})
BIG = "US-101-LosAngeles-CA.zip"
STORED = Artifact(
    ZIP, BIG, Path("a"), "ab" * 32, 300_000_000, ZIP.url, datetime(2026, 3, 1, tzinfo=UTC), rows=7
)
FAILED = Outcome(ZIP, "failed", error=NotFound("https://example.org/a.zip", 404))


def ended(status: str = "fetched") -> SourceFinished:
    outcome = FAILED if status == "failed" else Outcome(ZIP, "fetched", (STORED,), 300_000_000)
    return SourceFinished(IngestionResult("ngsim", (outcome,), 0.5, 12.0))


def tell(observer: Observer, *events: Event) -> None:
    async def all_of_them() -> None:
        for event in events:
            await observer.notice(event)

    asyncio.run(all_of_them())


# counting --------------------------------------------------------------------------------------


def test_bytes_that_an_earlier_process_had_do_not_count() -> None:
    received = Received()
    assert received.by(ResourceStarted(ZIP, BIG, 100, 60)) == 0
    assert (received.bytes, received.expected) == (0, 40)
    assert [received.by(BytesReceived(ZIP, BIG, done, 100)) for done in (70, 70, 100)] == [
        10,
        0,
        30,
    ]
    assert (received.bytes, received.expected, received.parts) == (40, 40, {})


def test_a_file_that_comes_anew_counts_again() -> None:
    received = Received()
    received.by(ResourceStarted(ZIP, BIG, 100, 60))
    received.by(BytesReceived(ZIP, BIG, 90, 100))
    assert received.by(BytesReceived(ZIP, BIG, 50, 100)) == 50  # it was another file by then
    received.by(BytesReceived(ZIP, BIG, 100, 100))
    assert (received.bytes, received.expected) == (130, 130)


def test_what_fails_is_not_expected_any_more() -> None:
    received = Received()
    received.by(ResourceStarted(ZIP, "one", 100))
    received.by(BytesReceived(ZIP, "one", 30, 100))
    received.by(ResourceStarted(ZIP, "two"))
    assert not received.is_known
    received.by(BytesReceived(ZIP, "two", 10, 50))
    assert received.is_known
    assert received.expected == 150
    received.by(ResourceFinished(FAILED))
    assert (received.bytes, received.expected, received.parts) == (40, 40, {})


# people ----------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 110 columns gets to see."""
    seen = io.StringIO()
    wide = Console(file=seen, force_terminal=True, width=110, color_system=None)
    monkeypatch.setattr(console, "err", wide)
    return seen


def test_a_terminal_shows_a_line_per_file_under_way_and_one_for_all(
    terminal: io.StringIO,
) -> None:
    progress = console.file_progress()
    moving = MovingProgress(progress)

    def lines() -> list[tuple[str, float, float | None]]:
        return [(task.description, task.completed, task.total) for task in progress.tasks]

    with progress:
        tell(
            moving,
            SourceStarted("ngsim"),
            ResourceStarted(ZIP, BIG, 300_000_000, 100_000_000),
            ResourceStarted(ZIP, "readme.txt", 1_000),
            BytesReceived(ZIP, BIG, 150_000_000, 300_000_000),
        )
        name = f"us-101/zip {BIG}"
        assert lines() == [
            ("all", 50_000_000, 200_001_000),  # what was there before is not to come
            (name, 150_000_000, 300_000_000),
            ("us-101/zip readme.txt", 0, 1_000),
        ]
        tell(moving, Retrying(ZIP, 2, 4.0, "the connection ended"))
        assert lines()[1][0] == f"{name}\n  again in 4 s: the connection ended"
        tell(
            moving,
            BytesReceived(ZIP, BIG, 150_000_001, 300_000_000),
            BytesReceived(ZIP, "readme.txt", 1_000, 1_000),
        )
        assert [line[0] for line in lines()] == ["all", name]
        progress.refresh()
        tell(
            moving,
            BytesReceived(ZIP, BIG, 300_000_000, 300_000_000),
            ArtifactStored(STORED, 12.0),
            Warned(ZIP, "3 rows came twice"),
            ResourceFinished(FAILED),
            ended(),
        )
        assert lines() == []
    shown = terminal.getvalue()
    assert "150.0/300.0 MB" in shown
    assert "ngsim us-101/zip: 3 rows came twice\n" in shown
    assert "there is no such thing (status 404)" in shown
    assert "ngsim: fetched (1 fetched; 300.0 MB received in 12.0 s; 7 rows)" in shown


def test_rate_and_time_left_are_shown_while_bytes_come(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    progress = console.file_progress()
    monkeypatch.setattr(progress, "get_time", lambda: now[0])
    moving = MovingProgress(progress)
    with progress:
        tell(moving, ResourceStarted(ZIP, BIG, 100_000_000, 20_000_000))
        for second in range(1, 5):
            now[0] = float(second)
            done = 20_000_000 + second * 10_000_000
            tell(moving, BytesReceived(ZIP, BIG, done, 100_000_000))
        everything, file = progress.tasks
        assert file.speed == pytest.approx(10_000_000, rel=0.4)
        assert file.time_remaining == pytest.approx(4, abs=2)
        assert everything.speed == pytest.approx(10_000_000, rel=0.4)
        progress.refresh()
    assert "60.0/100.0 MB" in terminal.getvalue()
    assert "MB/s" in terminal.getvalue()
    assert "0:00:0" in terminal.getvalue()


def test_a_log_gets_plain_lines_of_large_files_and_now_and_then_how_far_all_is() -> None:
    lines: list[str] = []
    now = [0.0]
    plain = PlainProgress(lines.append, now=lambda: now[0])
    tell(plain, SourceStarted("ngsim"), ResourceStarted(ZIP, BIG, 300_000_000, 100_000_000))
    for second in (1.0, 11.0, 12.0):
        now[0] = second
        done = 100_000_000 + int(second) * 10_000_000
        tell(plain, BytesReceived(ZIP, BIG, done, 300_000_000))
    small = Artifact(ZIP, "a.txt", Path("a"), "00", 5, ZIP.url, STORED.fetched_at)
    tell(
        plain,
        ResourceStarted(ZIP, "a.txt", 5),
        ArtifactStored(small, 0.1),
        Retrying(ZIP, 2, 4.0, "the connection ended"),
        ArtifactStored(STORED, 30.0),
        BreakerChanged("example.org", "open", 60.0, "3 failures"),
        Degraded(ZIP, "not reachable", (STORED,)),
        ended(),
    )
    assert lines == [
        f"ngsim us-101/zip: {BIG}, 300.0 MB, goes on at 100.0 MB",
        "110.0 MB of 200.0 MB received, 10.0 MB/s, 9 s left",
        "ngsim us-101/zip: attempt 2 in 4.0 s: the connection ended",
        f"ngsim us-101/zip: {BIG} is complete, 300.0 MB in 30.0 s",
        "example.org is left alone for 60 s: 3 failures",
        "ngsim us-101/zip: not reachable; the copy of 2026-03-01 00:00 UTC is used",
        "ngsim: fetched (1 fetched; 300.0 MB received in 12.0 s; 7 rows)",
    ]


def test_progress_is_drawn_on_terminals_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "err", Console(stderr=True, force_terminal=False))
    with showing_progress() as observer:
        assert isinstance(observer, PlainProgress)
        tell(observer, ended())
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("ngsim: fetched")
    monkeypatch.setattr(console, "err", Console(file=io.StringIO(), force_terminal=True))
    with showing_progress() as observer:
        assert isinstance(observer, MovingProgress)


def test_somebody_elses_log_gets_a_line_per_event_in_its_level() -> None:
    class Lines:
        def __init__(self) -> None:
            self.told: list[tuple[str, str]] = []

        def info(self, msg: str) -> None:
            self.told.append(("info", msg))

        def warning(self, msg: str) -> None:
            self.told.append(("warning", msg))

        def error(self, msg: str) -> None:
            self.told.append(("error", msg))

    lines = Lines()
    tell(
        ToLogger(lines),
        ResourceStarted(ZIP, BIG),
        BytesReceived(ZIP, BIG, 1, None),
        Warned(ZIP, "odd"),
        BreakerChanged("example.org", "closed"),
        ResourceFinished(FAILED),
        ended("failed"),
    )
    assert [level for level, _ in lines.told] == ["info", "warning", "info", "error", "error"]
    assert lines.told[3][1].startswith("ngsim us-101/zip: https://example.org/a.zip: there is no")
    assert lines.told[4][1].startswith("ngsim: failed (1 failed")


# logs and metrics ------------------------------------------------------------------------------


def test_a_run_is_a_log_of_json_lines_and_metrics_that_agree_with_its_results(
    tmp_path: Path,
) -> None:
    stream = io.StringIO()
    metrics = IngestionMetrics()
    settings = quick(tmp_path)
    logs.configure(settings, mode="json", stream=stream)

    async def scene() -> list[IngestionResult]:
        fine = Shelf({f"{number}.csv": rows(number, 50_000) for number in range(3)})
        down = Shelf({"a.csv": rows(1, 50_000)})
        observers = [LogObserver(), MetricsObserver(metrics)]
        pipeline = AsyncETLPipeline(settings, observers=observers, clock=FastClock().clock())
        async with fine.open(), down.open():
            await pipeline.run([ShelfSource(down.url, "down", "i-80")])
            down.status = 500
            return await pipeline.run(
                [
                    ShelfSource(fine.url, "fine"),
                    ShelfSource(down.url, "down", "i-80"),
                    ShelfSource(down.url, "never", "i-80"),
                ]
            )

    try:
        results = asyncio.run(scene())
    finally:
        logs.configure(settings, mode="human")
    assert [result.status for result in results] == ["fetched", "cached", "failed"]
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    events = [(line["event"], line["level"]) for line in lines]
    assert events.count(("artifact stored", "info")) == 4
    assert ("earlier copy used", "warning") in events
    assert ("trying again", "warning") in events
    stored = next(line for line in lines if line["event"] == "artifact stored")
    assert {"source", "resource", "highway", "name", "bytes", "sha256", "seconds"} <= set(stored)
    finished = {line["source"]: line for line in lines if line["event"] == "source finished"}
    assert finished["fine"]["bytes"] == 150_000
    assert finished["never"]["status"] == "failed"
    assert [line["error"]["type"] for line in lines if line["event"] == "source failed"] == [
        type(result.source_error).__name__ for result in results if result.source_error
    ]

    def value(name: str, highway: str, source: str) -> float | None:
        labels = {"highway": highway, "source": source}
        return metrics.registry.get_sample_value(name, labels)

    assert value("ngsim_bytes_total", "us-101", "fine") == 150_000
    assert value("ngsim_bytes_total", "i-80", "down") == 50_000
    assert value("ngsim_ingestion_duration_seconds_count", "us-101", "fine") == 3
    assert value("ngsim_errors_total", "all", "never") == 1
    for source in ("fine", "down", "never"):
        assert value("ngsim_active_ingestors", "all", source) == 0


def test_a_failed_resource_counts_under_its_highway_and_rows_do_too() -> None:
    metrics = IngestionMetrics()
    tell(
        MetricsObserver(metrics),
        SourceStarted("ngsim"),
        ArtifactStored(STORED, 3.0),
        ResourceFinished(FAILED),
    )
    labels = {"highway": "us-101", "source": "ngsim"}
    sample = metrics.registry.get_sample_value
    assert sample("ngsim_errors_total", labels) == 1
    assert sample("ngsim_records_total", labels) == 7
    assert sample("ngsim_active_ingestors", {"highway": "all", "source": "ngsim"}) == 1


def test_what_is_cancelled_is_no_longer_counted_as_under_way(tmp_path: Path) -> None:
    metrics = IngestionMetrics()

    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1, 200_000)}, stop_after=0)
        pipeline = AsyncETLPipeline(quick(tmp_path), observers=[MetricsObserver(metrics)])
        labels = {"highway": "all", "source": "shelf"}
        async with shelf.open():
            run = asyncio.create_task(pipeline.run([ShelfSource(shelf.url)]))
            await shelf.stopped.wait()
            assert metrics.registry.get_sample_value("ngsim_active_ingestors", labels) == 1
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        assert metrics.registry.get_sample_value("ngsim_active_ingestors", labels) == 0

    asyncio.run(scene())
