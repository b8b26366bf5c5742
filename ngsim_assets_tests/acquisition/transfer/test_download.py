"""A file comes whole, or a failure has a name; what came before is used where it may be."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from ngsim_assets.acquisition.errors import AlreadyUnderWay
from ngsim_assets.acquisition.events import BytesReceived, Event
from ngsim_assets.acquisition.transfer import partfile
from ngsim_assets.acquisition.transfer.download import Downloaded, Expected, download
from ngsim_assets.acquisition.transfer.errors import (
    BodyCutShort,
    BodyTooLong,
    ChangedMeanwhile,
    DeadlineExceeded,
    NotTheFile,
    TooManyRedirects,
    TransferError,
    UnreadableEncoding,
    WrongHash,
    WrongLength,
)
from ngsim_assets.acquisition.transfer.limits import Deadline
from ngsim_assets.acquisition.transfer.partfile import PartFile
from ngsim_assets.acquisition.transfer.ranges import Ranges
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets_tests.acquisition.transfer.faults import HTML, Fault
from ngsim_assets_tests.acquisition.transfer.misbehaving import LAST_MODIFIED, Pace, Server
from ngsim_assets_tests.acquisition.transfer.schedules import quick_client, resource

pytestmark = pytest.mark.usefixtures("plain_http")

CONTENT = random.Random(5).randbytes(300_000)  # noqa: S311
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "file.csv"


@dataclass
class Bench:
    """A server and a folder for the part; `get` downloads once, as a process of its own would."""

    server: Server
    folder: Path

    async def get(
        self,
        expected: Expected | None = None,
        *,
        query: str = "",
        seconds: float | None = None,
        events: list[Event] | None = None,
    ) -> Downloaded:
        async def tell(event: Event) -> None:
            if events is not None:
                events.append(event)

        url = self.server.url + query
        async with quick_client() as (client, deadline):
            return await download(
                client,
                resource(url),
                url,
                PartFile(self.folder),
                name=NAME,
                deadline=deadline if seconds is None else Deadline(seconds),
                expected=expected,
                segments=1,
                tell=tell,
            )

    @property
    def asked(self) -> list[tuple[str | None, str | None]]:
        """`Range` and `If-Range` of every request."""
        return [(one.headers.get("range"), one.headers.get("if-range")) for one in self.requests]

    @property
    def requests(self):
        return self.server.requests


def run(
    folder: Path,
    faults: Sequence[Fault] = (),
    expected: Expected | None = None,
    *,
    content: bytes = CONTENT,
    afterwards: Fault | None = None,
    validators: dict[str, str] | None = None,
    kind: str = "text/csv",
) -> tuple[Downloaded, Bench]:
    """Download from a server with these faults."""
    server = Server(content, faults, afterwards=afterwards, validators=validators, kind=kind)
    bench = Bench(server, folder / "part")

    async def main() -> Downloaded:
        async with server.running():
            return await bench.get(expected)

    downloaded = asyncio.run(main())
    assert downloaded.path.read_bytes() == server.content
    assert downloaded.sha256 == hashlib.sha256(server.content).hexdigest()
    assert downloaded.size == len(server.content)
    assert downloaded.requests <= len(server.requests)
    return downloaded, bench


def test_a_good_server_is_asked_once(tmp_path: Path):
    server = Server(CONTENT, validators={"ETag": '"v1"', "Set-Cookie": "session=secret"})
    bench = Bench(server, tmp_path / "part")
    events: list[Event] = []

    async def main() -> Downloaded:
        async with server.running():
            return await bench.get(Expected(size=300_000, sha256=SHA256), events=events)

    downloaded = asyncio.run(main())
    assert downloaded.path.read_bytes() == CONTENT
    assert (downloaded.sha256, downloaded.size) == (SHA256, 300_000)
    assert (downloaded.url, downloaded.requests, downloaded.resumed_from) == (server.url, 1, 0)
    assert downloaded.headers["etag"] == '"v1"'
    assert "set-cookie" not in downloaded.headers
    assert bench.asked == [(None, None)]
    assert events[-1] == BytesReceived(resource(server.url), NAME, 300_000, 300_000)
    # a small file comes again sooner than a record of it is on the disk
    assert not (bench.folder / "record.json").exists()


@pytest.mark.parametrize("kind", ["truncated", "reset", "stall", "drip"])
def test_what_broke_off_goes_on_where_it_was(tmp_path: Path, kind: str):
    downloaded, bench = run(tmp_path, [Fault(kind), Fault(kind)])
    whole, second, third = (one.range for one in bench.requests)
    assert whole is None
    assert second is not None
    assert third is not None
    assert 0 < second[0] < third[0]
    assert second[1] == third[1] == 299_999
    assert {one.headers.get("if-range") for one in bench.requests[1:]} == {'"v1"'}
    assert {one.headers["accept-encoding"] for one in bench.requests} == {"identity"}
    assert downloaded.resumed_from == 0


def test_a_file_in_many_pieces_is_not_given_up(tmp_path: Path):
    content = CONTENT * 9
    _, bench = run(tmp_path, [Fault("truncated", after=0.04)] * 40, content=content)
    assert len(bench.requests) == 41


def test_pieces_that_bring_next_to_nothing_are(tmp_path: Path):
    with pytest.raises(BodyCutShort):
        run(tmp_path, afterwards=Fault("truncated", after=0.001))


@pytest.mark.parametrize(
    "kind",
    [
        "ignores range",
        "other range",
        "other total",
        "multipart",
        "out of range",
        "changed",
        "changed unnoticed",
        "gzip",
        "deflate",
    ],
)
def test_an_answer_that_does_not_go_on_is_begun_anew(tmp_path: Path, kind: str):
    downloaded, bench = run(tmp_path, [Fault("truncated"), Fault(kind)])
    assert bench.asked[1][0] is not None
    assert [range_ for range_, _ in bench.asked[2:]] in ([], [None])
    assert downloaded.resumed_from == 0


def test_servers_that_never_agree_end_with_a_name(tmp_path: Path):
    faults = [Fault("truncated"), Fault("changed unnoticed")] * 20
    with pytest.raises((ChangedMeanwhile, BodyCutShort)):
        run(tmp_path, faults)
    with PartFile(tmp_path / "part") as part:
        assert not part.is_complete


@pytest.mark.parametrize(
    ("validators", "condition"),
    [
        ({}, None),
        ({"ETag": 'W/"v1"'}, None),
        ({"Last-Modified": LAST_MODIFIED}, LAST_MODIFIED),
        ({"Last-Modified": "yesterday"}, None),
    ],
)
def test_only_what_names_one_content_is_resumed(
    tmp_path: Path, validators: dict[str, str], condition: str | None
):
    _, bench = run(tmp_path, [Fault("truncated")], validators=validators)
    assert bench.asked[1][1] == condition
    assert (bench.asked[1][0] is None) == (condition is None)


def test_a_file_that_is_there_asks_for_its_last_byte_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partfile, "LASTING", 300_000)
    server = Server(CONTENT, validators={"ETag": '"v1"', "Set-Cookie": "session=secret"})
    bench = Bench(server, tmp_path / "part")

    async def main() -> list[Downloaded]:
        async with server.running():
            got = [await bench.get(), await bench.get()]
            server.change()
            return [*got, await bench.get()]

    first, again, changed = asyncio.run(main())
    assert [range_ for range_, _ in bench.asked] == [
        None,
        "bytes=299999-299999",
        "bytes=299999-299999",
    ]
    assert again.sha256 == first.sha256 == SHA256
    assert again.headers == first.headers
    assert again.resumed_from == 300_000
    assert changed.sha256 == hashlib.sha256(server.content).hexdigest() != SHA256
    assert changed.resumed_from == 0
    with PartFile(bench.folder) as part:
        assert part.is_complete
        assert "secret" not in (bench.folder / "record.json").read_text()


def test_nothing_after_what_is_there_means_that_it_is_whole(tmp_path: Path):
    """A body without length whose end was lost: 416 tells that there was no more."""
    _, bench = run(tmp_path, [Fault("chunked cut", after=1.0)])
    assert [range_ for range_, _ in bench.asked] == [None, "bytes=300000-"]
    assert bench.server.sent == 300_000


def test_a_body_without_length_goes_on_too(tmp_path: Path):
    _, bench = run(tmp_path, [Fault("chunked cut", after=0.5)])
    assert [range_ for range_, _ in bench.asked] == [None, "bytes=150000-"]
    assert bench.server.sent == 300_000


@pytest.mark.parametrize("kind", ["chunked", "until close", "gzip", "deflate", "redirect"])
def test_other_ways_to_send_a_file_are_taken(tmp_path: Path, kind: str):
    downloaded, _ = run(tmp_path, [Fault(kind)])
    assert downloaded.url.endswith("/elsewhere.csv" if kind == "redirect" else "/file.csv")


def test_what_was_unpacked_is_never_resumed(tmp_path: Path):
    _, bench = run(tmp_path, [Fault("gzip cut"), Fault("gzip spoilt")])
    assert bench.asked == [(None, None)] * 3


@pytest.mark.parametrize(
    ("kind", "expected", "failure"),
    [
        ("unknown encoding", None, UnreadableEncoding),
        ("corrupted", Expected(sha256=SHA256[:12]), WrongHash),
        ("until close cut", Expected(size=300_000), WrongLength),
        ("length too short", Expected(size=300_000), WrongLength),
        ("endless", Expected(size=300_000), WrongLength),
        ("html", None, NotTheFile),
        ("disguised html", None, NotTheFile),
        ("empty", None, NotTheFile),
    ],
)
def test_what_is_not_the_file_is_asked_for_once_more(
    tmp_path: Path, kind: str, expected: Expected | None, failure: type[TransferError]
):
    run(tmp_path, [Fault(kind)], expected)
    shutil.rmtree(tmp_path / "part")
    bench = Bench(Server(CONTENT, afterwards=Fault(kind)), tmp_path / "part")

    async def main() -> None:
        async with bench.server.running():
            await bench.get(expected)

    with pytest.raises(failure) as caught:
        asyncio.run(main())
    assert not caught.value.transient
    assert bench.server.url in caught.value.problem
    assert len(bench.requests) == 2
    with PartFile(tmp_path / "part") as part:
        assert part.done == Ranges()


def test_endless_bodies_end(tmp_path: Path):
    with pytest.raises(BodyTooLong, match="500,000"):
        run(tmp_path, [Fault("endless")], Expected(max_bytes=500_000))
    with pytest.raises(BodyTooLong, match="200,000"):
        run(tmp_path, [], Expected(max_bytes=200_000))
    with pytest.raises(TooManyRedirects):
        run(tmp_path, [Fault("redirect loop")])


def test_a_page_in_between_leaves_what_is_there(tmp_path: Path):
    server = Server(CONTENT, [Fault("truncated"), Fault("html"), Fault("html")])
    bench = Bench(server, tmp_path / "part")

    async def main() -> Downloaded:
        async with server.running():
            with pytest.raises(NotTheFile):
                await bench.get(Expected(kinds=("text/csv",)))
            return await bench.get(Expected(kinds=("text/csv",)))

    downloaded = asyncio.run(main())
    assert downloaded.sha256 == SHA256
    assert downloaded.resumed_from == 150_000
    assert bench.asked[-1][0] == "bytes=150000-299999"


def test_kinds_are_those_that_are_expected(tmp_path: Path):
    run(tmp_path, [Fault("html")], Expected(kinds=("text/html",)), content=HTML, kind="text/html")
    shutil.rmtree(tmp_path / "part")
    run(tmp_path, [], Expected(kinds=("text/csv",)), kind="application/octet-stream")
    shutil.rmtree(tmp_path / "part")
    with pytest.raises(NotTheFile, match="application/json came where text/csv"):
        run(tmp_path, [], Expected(kinds=("text/csv",)), kind="application/json")


def test_an_empty_file_may_be_expected(tmp_path: Path):
    downloaded, _ = run(tmp_path, [], Expected(size=0), content=b"")
    assert downloaded.size == 0


def test_a_part_of_another_address_or_size_is_begun_anew(tmp_path: Path):
    server = Server(CONTENT, [Fault("truncated")], afterwards=None)
    bench = Bench(server, tmp_path / "part")

    async def main() -> None:
        async with server.running():
            for query, expected in (("?a", None), ("?b", None), ("?b", Expected(size=5))):
                try:
                    await bench.get(expected, query=query)
                except TransferError as error:
                    assert isinstance(error, WrongLength)  # noqa: PT017

    asyncio.run(main())
    assert [range_ is None for range_, _ in bench.asked] == [True, False, True, True, True]


def test_a_cancelled_download_goes_on_later(tmp_path: Path):
    server = Server(CONTENT, pace=Pace(each=1_000_000))
    bench = Bench(server, tmp_path / "part")

    async def main() -> Downloaded:
        async with server.running():
            under_way = asyncio.create_task(bench.get())
            while server.sent < 150_000:
                await asyncio.sleep(0.005)
            with pytest.raises(AlreadyUnderWay, match=f"process {os.getpid()}"):
                await bench.get()
            under_way.cancel()
            with pytest.raises(asyncio.CancelledError):
                await under_way
            return await bench.get()

    downloaded = asyncio.run(main())
    assert downloaded.path.read_bytes() == CONTENT
    assert downloaded.resumed_from > 50_000
    assert bench.asked[-1] == (f"bytes={downloaded.resumed_from}-299999", '"v1"')


def test_a_deadline_ends_it_and_keeps_what_came(tmp_path: Path):
    server = Server(CONTENT, pace=Pace(each=500_000))
    bench = Bench(server, tmp_path / "part")

    async def main() -> Downloaded:
        async with server.running():
            with pytest.raises(DeadlineExceeded):
                await bench.get(seconds=0.3)
            server.pace = Pace()
            return await bench.get()

    downloaded = asyncio.run(main())
    assert downloaded.resumed_from > 0
    assert downloaded.sha256 == SHA256


def test_progress_is_told_a_few_times_a_second(tmp_path: Path):
    server = Server(CONTENT * 4, pace=Pace(each=1_500_000))
    bench = Bench(server, tmp_path / "part")
    events: list[Event] = []

    async def main() -> float:
        async with server.running():
            began = time.monotonic()
            await bench.get(events=events)
            return time.monotonic() - began

    seconds = asyncio.run(main())
    done = [event.done for event in events if isinstance(event, BytesReceived)]
    assert done == sorted(done)
    assert done[-1] == 1_200_000
    assert 2 <= len(done) <= seconds * 5 + 2


def test_secrets_of_an_address_stay_out_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(partfile, "LASTING", 0)
    server = Server(CONTENT)
    bench = Bench(server, tmp_path / "part")

    async def main() -> Downloaded:
        async with server.running():
            await bench.get(query="?token=hunter2")
            return await bench.get(query="?token=hunter2")

    downloaded = asyncio.run(main())
    assert downloaded.resumed_from == 300_000
    assert "hunter2" not in downloaded.url
    assert "hunter2" not in (bench.folder / "record.json").read_text()


def test_a_full_disk_has_a_name_and_keeps_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    free = 299_999
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(DiskFull):
        run(tmp_path)
    free = 300_000
    write = os.pwritev

    def full(descriptor: int, blocks: Sequence[bytes], at: int) -> int:
        if at:
            raise OSError(28, "No space left on device")
        return write(descriptor, blocks, at)

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(DiskFull):
        run(tmp_path, [Fault("truncated")])
    monkeypatch.undo()
    with PartFile(tmp_path / "part") as part:
        assert part.done == Ranges.of([(0, 150_000)])


def test_a_server_that_speaks_ipv6_only(tmp_path: Path):
    bench = Bench(Server(CONTENT, [Fault("truncated")]), tmp_path / "part")

    async def main() -> Downloaded:
        try:
            async with bench.server.running("::1"):
                return await bench.get()
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")

    assert asyncio.run(main()).sha256 == SHA256


def test_killed_twice_it_goes_on_and_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(partfile, "_SAVE_SECONDS", 0.05)
    monkeypatch.setattr(partfile, "_BATCH_SECONDS", 0.02)
    server = Server(CONTENT * 4, pace=Pace(each=2_000_000))
    folder = tmp_path / "part"
    # forked while no event loop runs; each waits for the address
    context = multiprocessing.get_context("fork")
    processes = []
    for _ in range(3):
        ours, theirs = context.Pipe()
        process = context.Process(target=_child, args=(folder, theirs))
        process.start()
        processes.append((process, ours))

    async def main() -> tuple[str, int]:
        async with server.running():
            for process, pipe in processes[:2]:
                before = server.sent
                pipe.send(server.url)
                record = folder / "record.json"
                known = record.read_text() if record.exists() else ""
                while server.sent < before + 250_000 or record.read_text() == known:
                    await asyncio.sleep(0.005)
                process.kill()
                await asyncio.to_thread(process.join)
            pipe = processes[2][1]
            pipe.send(server.url)
            assert await asyncio.to_thread(pipe.poll, 30)
            return pipe.recv()

    try:
        sha256, resumed_from = asyncio.run(main())
    finally:
        for process, pipe in processes:
            process.kill()
            process.join()
            process.close()
            pipe.close()
    assert sha256 == hashlib.sha256(server.content).hexdigest()
    assert (folder / "body").read_bytes() == server.content
    starts = [one.range[0] if one.range else 0 for one in server.requests]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2] == resumed_from


def _child(folder: Path, pipe: Connection) -> None:
    url = pipe.recv()

    async def main() -> None:
        async with quick_client() as (client, deadline):
            downloaded = await download(
                client, resource(url), url, PartFile(folder), name=NAME, deadline=deadline
            )
            pipe.send((downloaded.sha256, downloaded.resumed_from))

    asyncio.run(main())
