"""Sources side by side: each ends in a result that is true, whatever happens to it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ngsim_assets.acquisition import ingestion
from ngsim_assets.acquisition.events import (
    ArtifactStored,
    Degraded,
    Event,
    ResourceFinished,
    SourceFinished,
    SourceStarted,
)
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.acquisition.session import Session
from ngsim_assets.acquisition.sources import Artifact, Column, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets_tests.acquisition.shelves import (
    FastClock,
    Shelf,
    ShelfSource,
    Watcher,
    quick,
    rows,
)


def contents(result: IngestionResult) -> dict[str, bytes]:
    return {artifact.name: artifact.path.read_bytes() for artifact in result.artifacts}


def failures_in(data: Path) -> dict[str, str]:
    """Resources whose last attempt failed, as the next process knows it."""
    return {
        manifest.key: manifest.failure.error
        for manifest in DownloadStore(data / "downloads").all_manifests()
        if manifest.failure is not None
    }


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def only_these_tasks() -> None:
    """Nothing but the test itself is under way."""
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_all_that_a_source_offers_is_fetched_and_then_nothing_again(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number, 100_000) for number in range(6)})
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            (first,) = await pipeline.run([ShelfSource(shelf.url)])
            sent = shelf.sent
            (second,) = await pipeline.run([ShelfSource(shelf.url)])
        assert contents(first) == contents(second) == shelf.files
        assert (first.status, second.status) == ("fetched", "unchanged")
        assert first.bytes == 600_000
        assert second.bytes == 0
        assert shelf.sent == sent == 600_000  # no body was sent again
        assert Counter(shelf.gets).most_common(1)[0][1] == 1
        assert first.attempts == 6
        assert "6 fetched" in first.sentence()
        assert not list((tmp_path / "downloads" / "parts").iterdir())

    asyncio.run(scene())


def test_only_what_changed_is_fetched_and_the_old_content_is_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1), "b.csv": rows(2)})
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            await pipeline.run([ShelfSource(shelf.url)])
            shelf.files["a.csv"] = rows(3)
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
        assert {item.resource.key: item.status for item in result.outcomes} == {
            "a.csv": "fetched",
            "b.csv": "unchanged",
        }
        manifest = DownloadStore(tmp_path / "downloads").manifest("shelf", "a.csv")
        assert manifest is not None
        assert len(manifest.contents) == 2
        assert shelf.gets.count("/files/b.csv") == 1

    asyncio.run(scene())


def test_where_nothing_is_said_of_a_version_the_bytes_tell(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1)}, heads=False)
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            statuses = []
            for content in (rows(1), rows(1), rows(2)):
                shelf.files["a.csv"] = content
                (result,) = await pipeline.run([ShelfSource(shelf.url)])
                statuses.append(result.status)
        assert statuses == ["fetched", "unchanged", "fetched"]

    asyncio.run(scene())


def test_one_failing_one_slow_one_down_and_one_unchanged_source_each_get_their_own_end(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        fine, slow, down, broken = (
            Shelf({f"{name}.csv": rows(place, 300_000)})
            for place, name in enumerate(("fine", "slow", "down", "broken"))
        )
        watcher = Watcher()
        pipeline = AsyncETLPipeline(quick(tmp_path), observers=[watcher], clock=FastClock().clock())
        async with fine.open(), slow.open(), down.open(), broken.open():
            before = [ShelfSource(fine.url, "fine"), ShelfSource(down.url, "down")]
            await pipeline.run(before)
            slow.pause, down.status, broken.status = 0.05, 503, 503
            watcher.events.clear()
            results = await pipeline.run(
                [
                    *before,
                    ShelfSource(slow.url, "slow"),
                    ShelfSource(broken.url, "broken"),
                ]
            )
        ends = {result.source: result for result in results}
        assert list(ends) == ["fine", "down", "slow", "broken"]
        assert [result.status for result in results] == [
            "unchanged",
            "cached",
            "fetched",
            "failed",
        ]
        assert contents(ends["down"]) == {"down.csv": rows(2, 300_000)}
        (warning,) = ends["down"].warnings
        assert "503" in warning
        assert "the copy of" in warning
        assert [type(error).__name__ for error in ends["down"].errors] == ["ServerFailed"]
        assert contents(ends["slow"]) == slow.files
        (error,) = ends["broken"].errors
        assert "status 503" in error.problem
        assert error.fix
        (degraded,) = watcher.of(Degraded)
        assert isinstance(degraded, Degraded)
        assert [copy.name for copy in degraded.copies] == ["down.csv"]
        for kind in (SourceStarted, SourceFinished):
            assert len(watcher.of(kind)) == 4
        only_these_tasks()

    asyncio.run(scene())


def test_a_resource_that_fails_leaves_the_others_and_its_earlier_copy(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number) for number in range(3)})
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            source = ShelfSource(shelf.url)
            await pipeline.run([source])
            shelf.files |= {"new.csv": rows(9), "3.csv": rows(3)}
            del shelf.files["1.csv"]

            class Stubborn(ShelfSource):
                async def discover(self, session: Session) -> AsyncIterator[Resource]:
                    for name in ("1.csv", "2.csv", "3.csv", "lost.csv"):
                        yield Resource(self.name, name, f"{self.url}/files/{name}")

            (result,) = await pipeline.run([Stubborn(shelf.url)])
            told = failures_in(tmp_path)
            shelf.files |= {"1.csv": rows(1), "lost.csv": rows(4)}
            await pipeline.run([Stubborn(shelf.url)])
        assert told == {"1.csv": "NotFound", "lost.csv": "NotFound"}
        assert failures_in(tmp_path) == {}
        assert {item.resource.key: item.status for item in result.outcomes} == {
            "1.csv": "cached",
            "2.csv": "unchanged",
            "3.csv": "fetched",
            "lost.csv": "failed",
        }
        assert result.status == "partial"
        assert {type(error).__name__ for error in result.errors} == {"NotFound"}
        assert json.loads(json.dumps(result.summary()))["resources"][3]["error"]["fix"]

    asyncio.run(scene())


def test_a_selection_is_all_that_is_asked_for(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number) for number in range(4)})
        async with shelf.open():
            (result,) = await AsyncETLPipeline(quick(tmp_path)).run(
                [ShelfSource(shelf.url)], select=lambda resource: resource.key == "2.csv"
            )
        assert shelf.gets == ["/files/2.csv"]
        assert list(contents(result)) == ["2.csv"]

    asyncio.run(scene())


# cancellation ----------------------------------------------------------------------------------


def test_what_is_cancelled_goes_on_where_it_was(tmp_path: Path) -> None:
    async def scene() -> None:
        size = 6_000_000
        shelf = Shelf({"big.csv": rows(1, size), "small.csv": rows(2)}, stop_after=4_000_000)
        watcher = Watcher()
        pipeline = AsyncETLPipeline(quick(tmp_path), observers=[watcher])
        async with shelf.open():
            run = asyncio.create_task(pipeline.run([ShelfSource(shelf.url)]))
            await shelf.stopped.wait()
            await until(lambda: bool(watcher.of(ResourceFinished)))
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert failures_in(tmp_path) == {}
            (left,) = pipeline.results
            assert left.status == "cancelled"
            assert {item.resource.key: item.status for item in left.outcomes} == {
                "big.csv": "cancelled",
                "small.csv": "fetched",
            }
            assert len(watcher.of(SourceStarted)) == len(watcher.of(SourceFinished)) == 1
            assert list((tmp_path / "downloads" / "objects").rglob("big.csv")) == []

            shelf.stop_after = None
            before = shelf.sent
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
            assert contents(result) == shelf.files
            assert 0 < shelf.sent - before <= size - 3_000_000
            assert result.bytes <= size - 3_000_000
        assert any(part.startswith("bytes=") for _, _, part in shelf.asked)

    asyncio.run(scene())


def test_sources_whose_turn_had_not_come_are_cancelled_too(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1, 200_000)}, stop_after=0)
        watcher = Watcher()
        pipeline = AsyncETLPipeline(quick(tmp_path, sources_at_once=1), observers=[watcher])
        async with shelf.open():
            sources = [ShelfSource(shelf.url, name) for name in ("one", "two")]
            run = asyncio.create_task(pipeline.run(sources))
            await shelf.stopped.wait()
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            only = [task for task in asyncio.all_tasks() if "pipeline" in repr(task.get_coro())]
            assert only == []
        assert [result.status for result in pipeline.results] == ["cancelled", "cancelled"]
        assert len(watcher.of(SourceStarted)) == len(watcher.of(SourceFinished)) == 1

    asyncio.run(scene())


def test_the_deadline_of_a_resource_ends_that_one_only(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1, 400_000), "b.csv": rows(2)}, stop_after=200_000)
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path, deadline=2.0))
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
        assert {item.resource.key: item.status for item in result.outcomes} == {
            "a.csv": "failed",
            "b.csv": "fetched",
        }
        assert [type(error).__name__ for error in result.errors] == ["DeadlineExceeded"]

    asyncio.run(scene())


def test_what_an_interrupted_process_had_does_not_come_again(tmp_path: Path) -> None:
    async def scene() -> None:
        size = 6_000_000
        shelf = Shelf({"big.csv": rows(1, size)}, stop_after=5_000_000)
        async with shelf.open():
            process = await fetching(tmp_path, shelf.url)
            await shelf.stopped.wait()
            parts = tmp_path / "downloads" / "parts"
            # what was sent may wait in the kernel; it is in the file a megabyte at a time
            await until(
                lambda: any(body.stat().st_size > size // 2 for body in parts.rglob("body"))
            )
            process.send_signal(signal.SIGINT)
            await process.communicate()
            assert process.returncode != 0
            assert DownloadStore(tmp_path / "downloads").held("shelf", "big.csv") is None
            shelf.stop_after, before = None, shelf.sent
            (result,) = await AsyncETLPipeline(quick(tmp_path)).run([ShelfSource(shelf.url)])
        assert contents(result) == shelf.files
        assert shelf.sent - before < size // 2

    asyncio.run(scene())


async def fetching(data: Path, url: str) -> asyncio.subprocess.Process:
    """Another process that fetches the shelf."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ngsim_assets_tests.acquisition.fetching",
        str(data),
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


# two at once -----------------------------------------------------------------------------------


def test_two_processes_share_a_folder_and_fetch_every_file_once(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number, 200_000) for number in range(8)}, pause=0.01)
        async with shelf.open():
            processes = [await fetching(tmp_path, shelf.url) for _ in range(2)]
            told = [json.loads((await process.communicate())[0]) for process in processes]
        assert {result["status"] for result in told} <= {"fetched", "unchanged"}
        assert sum(result["bytes"] for result in told) == 8 * 200_000
        assert Counter(shelf.gets) == {f"/files/{name}": 1 for name in shelf.files}
        store = DownloadStore(tmp_path / "downloads")
        assert store.verify() == []
        assert {resource.key for resource in store.resources("shelf")} == set(shelf.files)
        assert list((store.root / "parts").iterdir()) == []

    asyncio.run(scene())


# sources with faults ---------------------------------------------------------------------------


class Odd(ShelfSource):
    """A source that does one thing wrong, or in its own way."""

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        for name in ("a.csv", "b.csv"):
            yield Resource(self.name, name, f"{self.url}/files/{name}")


class EndlessDiscover(Odd):
    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        number = 0
        while True:
            number += 1
            yield Resource(self.name, f"{number}", self.url)


class SilentDiscover(Odd):
    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        yield Resource(self.name, "a.csv", f"{self.url}/files/a.csv")
        await asyncio.Event().wait()


class RaisesInDiscover(Odd):
    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        yield Resource(self.name, "a.csv", f"{self.url}/files/a.csv")
        raise ZeroDivisionError("half way")


class RaisesInFetch(Odd):
    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        if resource.key == "a.csv":
            raise KeyError("column")
        yield await session.download(resource, resource.url, name="b.csv")


class CancelsItself(Odd):
    async def describe(self, session: Session, resource: Resource) -> Description:
        raise asyncio.CancelledError


class TimesOutItself(Odd):
    async def describe(self, session: Session, resource: Resource) -> Description:
        raise TimeoutError("its own")


class YieldsNothing(Odd):
    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        for artifact in ():
            yield artifact


class OffersForOthers(Odd):
    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        yield Resource("other", "a.csv", self.url)


class OffersBadKey(Odd):
    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        yield Resource(self.name, "../../a.csv", self.url)


class DownloadsBeforeItsTurn(Odd):
    async def describe(self, session: Session, resource: Resource) -> Description:
        await session.download(resource, resource.url, name="a/b")
        return Description()


class KeepsNoSecrets(Odd):
    def secrets(self) -> dict[str, dict[str, SecretStr]]:
        raise LookupError("no keyring")


class NoGenerator(Odd):
    def discover(self, session: Session) -> AsyncIterator[Resource]:
        return iter(())  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(
    ("kind", "status", "error", "says"),
    [
        (KeepsNoSecrets, "failed", "SourceFault", "LookupError: no keyring"),
        (NoGenerator, "failed", "SourceFault", "TypeError"),
        (EndlessDiscover, "failed", "TooManyResources", "more than 300"),
        (SilentDiscover, "partial", "DiscoveryTimedOut", "did not say within"),
        (RaisesInDiscover, "partial", "SourceFault", "ZeroDivisionError: half way"),
        (RaisesInFetch, "partial", "SourceFault", "KeyError"),
        (CancelsItself, "failed", "SourceFault", "CancelledError"),
        (TimesOutItself, "failed", "SourceFault", "TimeoutError: its own"),
        (YieldsNothing, "failed", "NothingFetched", "yielded no file"),
        (OffersForOthers, "failed", "UnusableName", "odd offers it"),
        (OffersBadKey, "failed", "UnusableName", "no name of a folder"),
        (DownloadsBeforeItsTurn, "failed", "UnusableName", "holds a /"),
    ],
)
def test_a_fault_of_a_source_is_named_and_is_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Odd],
    status: str,
    error: str,
    says: str,
) -> None:
    monkeypatch.setattr(ingestion, "RESOURCES", 300)

    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1), "b.csv": rows(2)})
        async with shelf.open():
            odd, fine = await AsyncETLPipeline(quick(tmp_path, deadline=2.0)).run(
                [kind(shelf.url, "odd"), ShelfSource(shelf.url, "fine")]
            )
        assert odd.status == status
        first = odd.errors[0]
        assert type(first).__name__ == error
        assert says in first.problem
        assert first.fix
        if error == "SourceFault":
            assert first.__cause__ is not None
            assert first.__cause__.__traceback__ is not None
        assert fine.status == "fetched"
        assert list((tmp_path / "downloads").rglob("*.csv.json"))
        assert len(DownloadStore(tmp_path / "downloads").resources("fine")) == 2
        only_these_tasks()

    asyncio.run(scene())


def test_where_discovery_fails_the_copies_of_earlier_are_used(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1), "b.csv": rows(2)})
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path), clock=FastClock().clock())
            await pipeline.run([ShelfSource(shelf.url)])
            shelf.status = 500
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
        assert result.status == "cached"
        assert contents(result) == shelf.files
        assert failures_in(tmp_path) == dict.fromkeys(shelf.files, "ServerFailed")
        assert len(result.warnings) == 2
        assert [type(error).__name__ for error in result.errors] == ["ServerFailed"]

    asyncio.run(scene())


def test_a_damaged_manifest_is_warned_of_and_written_anew(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1)})
        store = DownloadStore(tmp_path / "downloads")
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            await pipeline.run([ShelfSource(shelf.url)])
            store.manifest_path("shelf", "a.csv").write_text("{")
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
            assert result.status == "fetched"
            assert "cannot read" in result.warnings[0]
            (result,) = await pipeline.run([ShelfSource(shelf.url)])
        assert (result.status, result.warnings) == ("unchanged", ())

    asyncio.run(scene())


def test_columns_that_come_and_go_are_told(tmp_path: Path) -> None:
    class WithColumns(ShelfSource):
        columns: tuple[Column, ...] = ()

        async def describe(self, session: Session, resource: Resource) -> Description:
            return Description(columns=self.columns)

    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1)})
        async with shelf.open():
            pipeline = AsyncETLPipeline(quick(tmp_path))
            source = WithColumns(shelf.url)
            source.columns = (Column("v_id", "number"), Column("gone", "text"))
            (first,) = await pipeline.run([source])
            source.columns = (Column("v_id", "number"), Column("new", "text"))
            shelf.files["a.csv"] = rows(2)
            (second,) = await pipeline.run([source])
        assert first.warnings == ()
        assert [artifact.schema_version for artifact in first.artifacts] == [1]
        assert [artifact.schema_version for artifact in second.artifacts] == [2]
        (warning,) = second.warnings
        assert warning.endswith("schema version 2; new: new; gone: gone")

    asyncio.run(scene())


def test_a_key_that_is_offered_twice_is_fetched_once(tmp_path: Path) -> None:
    class Twice(ShelfSource):
        async def discover(self, session: Session) -> AsyncIterator[Resource]:
            for _ in range(2):
                yield Resource(self.name, "a.csv", f"{self.url}/files/a.csv")

    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1)})
        async with shelf.open():
            (result,) = await AsyncETLPipeline(quick(tmp_path)).run([Twice(shelf.url)])
        assert len(result.outcomes) == 1
        assert result.warnings == ("a.csv is offered twice; the first one is used",)

    asyncio.run(scene())


# observers -------------------------------------------------------------------------------------


def test_an_observer_that_raises_or_hangs_is_dropped_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ngsim_assets.acquisition.telling.OBSERVER_SECONDS", 0.1)
    told = Counter[str]()

    class Raises:
        async def notice(self, event: Event) -> None:
            told["raises"] += 1
            raise RuntimeError("no terminal")

    class Hangs:
        async def notice(self, event: Event) -> None:
            told["hangs"] += 1
            await asyncio.Event().wait()

    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number) for number in range(3)})
        watcher = Watcher()
        async with shelf.open():
            (result,) = await AsyncETLPipeline(
                quick(tmp_path), observers=[Raises(), Hangs(), watcher]
            ).run([ShelfSource(shelf.url)])
        assert result.status == "fetched"
        assert len(watcher.of(ArtifactStored)) == len(watcher.of(ResourceFinished)) == 3
        assert isinstance(watcher.events[0], SourceStarted)
        assert isinstance(watcher.events[-1], SourceFinished)

    asyncio.run(scene())
    assert told == {"raises": 1, "hangs": 1}
    said = capsys.readouterr().err
    assert said.count("an observer failed") == 2
    assert "no terminal" in said


# many ------------------------------------------------------------------------------------------


class Indexed(ShelfSource):
    """A source whose index tells the version of every file."""

    async def describe(self, session: Session, resource: Resource) -> Description:
        return Description(version="1", size=2_000)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that no busy disk slows down, where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own within
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


def test_a_thousand_small_files_come_without_exceeding_any_limit(in_memory: Path) -> None:
    async def scene() -> None:
        files = {f"{number:04}.csv": rows(number, 2_000) for number in range(1000)}
        shelf = Shelf(files, pause=0.02)
        settings = quick(in_memory, host_connections=8, requests_at_once=16, host_requests=100_000)
        async with shelf.open():
            (result,) = await AsyncETLPipeline(settings).run([Indexed(shelf.url)])
        assert result.status == "fetched"
        assert contents(result) == files
        assert shelf.most == 8  # as many as may be, and never more
        assert len(shelf.asked) == 1000 + 1

    asyncio.run(scene())


def test_a_host_gets_no_more_requests_a_second_than_it_may(tmp_path: Path) -> None:
    async def scene() -> None:
        shelf = Shelf({f"{number}.csv": rows(number) for number in range(20)})
        settings = quick(tmp_path, host_requests=40.0)
        async with shelf.open():
            (result,) = await AsyncETLPipeline(settings).run([ShelfSource(shelf.url)])
        assert result.status == "fetched"
        times = shelf.times
        assert len(times) == 41
        assert times[-1] - times[0] >= 40 / 40.0 * 0.9

    asyncio.run(scene())
