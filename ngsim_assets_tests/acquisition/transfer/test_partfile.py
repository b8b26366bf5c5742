"""A part knows what it holds, in this process and the next, and never claims more."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from ngsim_assets.acquisition.errors import AlreadyUnderWay
from ngsim_assets.acquisition.transfer import partfile
from ngsim_assets.acquisition.transfer.partfile import Origin, PartFile
from ngsim_assets.acquisition.transfer.ranges import Ranges
from ngsim_assets.storage.errors import DiskFull, ReadOnlyLake

_ORIGIN = Origin(
    url="https://example.org/file.csv",
    final_url="https://cdn.example.org/1",
    total=3_000_000,
    validator='"v1"',
    headers={"content-type": "text/csv"},
)


async def _write(part: PartFile, at: int, *blocks: bytes) -> None:
    writer = part.writer(at)
    try:
        for block in blocks:
            await writer.write(block)
    finally:
        await writer.close()


def _begun(folder: Path, *pieces: tuple[int, bytes], saved: bool = True) -> None:
    async def main() -> None:
        with PartFile(folder) as part:
            await part.begin(_ORIGIN)
            for at, block in pieces:
                await _write(part, at, block)
            if saved:
                await part.save()

    asyncio.run(main())


def test_the_next_process_finds_what_was_saved(tmp_path: Path):
    _begun(tmp_path / "part", (0, b"a" * 1_000_000), (2_000_000, b"b" * 500_000))
    with PartFile(tmp_path / "part") as part:
        assert part.origin == _ORIGIN
        assert part.done == Ranges.of([(0, 1_000_000), (2_000_000, 2_500_000)])
        assert not part.is_complete
        body = part.body.read_bytes()
    assert body[:1_000_000] == b"a" * 1_000_000
    assert body[2_000_000:] == b"b" * 500_000


def test_blocks_of_every_size_land_at_their_places(tmp_path: Path):
    content = os.urandom(2_500_000)
    cuts = [0, 1, 2, 50, 51, 300_000, 1_400_000, 1_400_001, 2_500_000]
    blocks = [content[a:b] for a, b in pairwise(cuts)]

    async def main() -> None:
        with PartFile(tmp_path / "part") as part:
            await part.begin(_ORIGIN)
            # two writers at once, one of them with very many small blocks
            small = [content[at : at + 7] for at in range(0, 70_000, 7)]
            await asyncio.gather(_write(part, 500_000, *blocks), _write(part, 0, *small))
            assert part.done == Ranges.of([(0, 70_000), (500_000, 3_000_000)])
            found = part.body.read_bytes()
        assert found[:70_000] == content[:70_000]
        assert found[500_000:] == content

    asyncio.run(main())


def test_what_was_not_saved_is_not_claimed(tmp_path: Path):
    """As after a kill: the body may hold more than the record says, which is then let go."""
    _begun(tmp_path / "part", (0, b"a" * 1_000))
    with (tmp_path / "part" / "body").open("ab") as body:
        body.write(b"z" * 5_000)
    with PartFile(tmp_path / "part") as part:
        assert part.done == Ranges.of([(0, 1_000)])
        assert part.body.stat().st_size == 1_000
    _begun(tmp_path / "other", (0, b"a" * 1_000), saved=False)
    with PartFile(tmp_path / "other") as part:
        assert (part.origin, part.done) == (None, Ranges())


def test_the_record_is_written_while_bytes_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(partfile, "_SAVE_SECONDS", 0.05)
    record = tmp_path / "part" / "record.json"

    async def main() -> None:
        with PartFile(tmp_path / "part") as part:
            await part.begin(_ORIGIN)
            writer = part.writer(0)
            try:
                for _ in range(200):
                    await writer.write(b"x" * (1 << 19))
                    await asyncio.sleep(0.01)
                    if record.exists():
                        break
            finally:
                await writer.close()
            claimed = Ranges.of(tuple(pair) for pair in json.loads(record.read_text())["done"])
            assert 0 < claimed.prefix <= part.done.prefix
            await part.save()

    asyncio.run(main())


def test_bytes_are_on_the_disk_before_the_record_speaks_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[str] = []
    sync, write = os.fdatasync, partfile.write_atomically

    def noted_sync(descriptor: int) -> None:
        steps.append("bytes")
        sync(descriptor)

    def noted_write(path: Path, content: str) -> None:
        steps.append("record")
        write(path, content)

    monkeypatch.setattr(os, "fdatasync", noted_sync)
    monkeypatch.setattr(partfile, "write_atomically", noted_write)
    _begun(tmp_path / "part", (0, b"a"))
    assert steps == ["bytes", "record"]


@pytest.mark.parametrize(("size", "begun_before"), [(40, False), (40, True), (1 << 20, False)])
def test_what_is_finished_is_on_the_disk_and_only_a_small_file_has_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, begun_before: bool
):
    synced: list[int] = []
    sync = os.fdatasync

    def noted_sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted_sync)

    async def main() -> None:
        with PartFile(tmp_path / "part") as part:
            await part.begin(replace(_ORIGIN, total=size))
            await _write(part, 0, b"a" * (size - 1))
            if begun_before:
                await part.save()
            await _write(part, size - 1, b"a")
            await part.finish()

    asyncio.run(main())
    assert synced[-1] == size
    recorded = size == 1 << 20 or begun_before
    assert (tmp_path / "part" / "record.json").exists() == recorded
    with PartFile(tmp_path / "part") as part:
        assert part.is_complete == recorded


def test_beginning_anew_lets_go_of_the_record_before_any_byte(tmp_path: Path):
    _begun(tmp_path / "part", (0, b"a" * 1_000))

    async def main() -> None:
        with PartFile(tmp_path / "part") as part:
            await part.begin(Origin("https://example.org/2", "https://example.org/2"))
            assert not (tmp_path / "part" / "record.json").exists()
            assert part.body.stat().st_size == 0
            assert part.done == Ranges()

    asyncio.run(main())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record[: len(record) // 2],
        lambda record: b"",
        lambda record: b"[]",
        lambda record: record.replace(b'"format": 1', b'"format": 2'),
        lambda record: record.replace(b"1000", b"1001"),
        lambda record: record.replace(b'"total": 3000000', b'"total": "many"'),
        lambda record: record.replace(b'"total": 3000000', b'"total": 999'),
        lambda record: record.replace(b'"headers": {', b'"headers": 5, "other": {'),
        lambda record: record.replace(b'"done"', b'"gone"'),
    ],
)
def test_a_record_that_cannot_be_true_is_none(tmp_path: Path, spoil):
    _begun(tmp_path / "part", (0, b"a" * 1_000))
    record = tmp_path / "part" / "record.json"
    content = record.read_bytes()
    assert spoil(content) != content
    record.write_bytes(spoil(content))
    with PartFile(tmp_path / "part") as part:
        assert (part.origin, part.done) == (None, Ranges())


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(tmp_path / "part", theirs))
    holder.start()
    try:
        assert ours.poll(30)
        ours.recv()
        with (
            pytest.raises(AlreadyUnderWay, match=f"process {holder.pid}"),
            PartFile(tmp_path / "part"),
        ):
            pass
        holder.kill()
        holder.join()
        with PartFile(tmp_path / "part") as part:
            assert part.is_held
            with pytest.raises(AlreadyUnderWay), PartFile(tmp_path / "part"):
                pass
        assert not part.is_held
    finally:
        holder.kill()
        holder.join()
        holder.close()


def _hold(folder: Path, told: Connection) -> None:
    with PartFile(folder):
        told.send("held")
        told.poll(60)


def test_removing_leaves_nothing_and_does_not_disturb_who_comes_next(tmp_path: Path):
    _begun(tmp_path / "part", (0, b"a"))
    with PartFile(tmp_path / "part") as part:
        part.body.rename(tmp_path / "kept")
        part.remove()
        assert not part.folder.exists()
        with PartFile(tmp_path / "part") as other:
            assert other.done == Ranges()
    assert (tmp_path / "kept").read_bytes() == b"a"


def test_a_full_disk_is_noticed_before_and_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _begun(tmp_path / "part", (0, b"a" * 1_000))
    with PartFile(tmp_path / "part") as part:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2_000))
        part.require_room(3_000)
        with pytest.raises(DiskFull, match="body"):
            part.require_room(3_001)

    def full(descriptor: int, blocks: list[bytes], at: int) -> int:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        with PartFile(tmp_path / "part") as part:
            monkeypatch.setattr(os, "pwritev", full)
            await _write(part, 1_000, b"b")

    with pytest.raises(DiskFull, match="body"):
        asyncio.run(main())
    monkeypatch.undo()
    with PartFile(tmp_path / "part") as part:
        assert part.done == Ranges.of([(0, 1_000)])


def test_a_disk_that_takes_some_of_it_is_given_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = os.pwritev
    monkeypatch.setattr(
        os, "pwritev", lambda descriptor, blocks, at: write(descriptor, [blocks[0][:3]], at)
    )
    _begun(tmp_path / "part", (0, b"abcdefgh"))
    assert (tmp_path / "part" / "body").read_bytes() == b"abcdefgh"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(ReadOnlyLake, match="part"), PartFile(tmp_path / "part"):
        pass


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path):
    (tmp_path / "part").write_text("not a folder")
    with pytest.raises(ReadOnlyLake, match="part"), PartFile(tmp_path / "part"):
        pass
