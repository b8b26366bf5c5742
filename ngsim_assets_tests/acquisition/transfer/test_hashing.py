"""The hash of a growing file is that of its bytes, however they come."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from ngsim_assets.acquisition.errors import PartDisturbed
from ngsim_assets.acquisition.transfer.hashing import FollowingHash


def _file(path: Path, content: bytes) -> int:
    path.write_bytes(content)
    return os.open(path, os.O_RDWR)


@pytest.mark.parametrize("steps", [[], [1], [5_000_000], [1, 70_000, 70_000, 4_999_999, 5_000_000]])
def test_it_is_the_hash_of_what_was_reached(tmp_path: Path, steps: list[int]):
    content = os.urandom(5_000_000)
    descriptor = _file(tmp_path / "body", content)

    async def main() -> str:
        following = FollowingHash(tmp_path / "body", descriptor)
        for step in steps:
            following.reach(step)
            await asyncio.sleep(0)
        try:
            return await following.hexdigest()
        finally:
            await following.close()

    try:
        found = asyncio.run(main())
    finally:
        os.close(descriptor)
    assert found == hashlib.sha256(content[: max(steps, default=0)]).hexdigest()


def test_it_follows_by_itself_and_in_little_memory(tmp_path: Path):
    content = os.urandom(1_000_000) * 40
    descriptor = _file(tmp_path / "body", content)

    async def main() -> str:
        following = FollowingHash(tmp_path / "body", descriptor)
        try:
            following.reach(len(content))
            for _ in range(1_000):
                if following.is_level:
                    break
                await asyncio.sleep(0.01)
            assert following.is_level
            return await following.hexdigest()
        finally:
            await following.close()

    expected = hashlib.sha256(content).hexdigest()
    tracemalloc.start()
    try:
        assert asyncio.run(main()) == expected
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
        os.close(descriptor)


def test_a_file_that_became_shorter_is_named(tmp_path: Path):
    descriptor = _file(tmp_path / "body", b"x" * 1_000)

    async def main() -> None:
        following = FollowingHash(tmp_path / "body", descriptor)
        following.reach(1_500)
        try:
            await following.hexdigest()
        finally:
            await following.close()

    try:
        with pytest.raises(PartDisturbed, match="body has 1,000 bytes"):
            asyncio.run(main())
    finally:
        os.close(descriptor)


def test_a_cancellation_waits_until_nothing_reads_any_more(tmp_path: Path):
    descriptor = _file(tmp_path / "body", b"")
    os.ftruncate(descriptor, 400_000_000)

    async def main() -> None:
        following = FollowingHash(tmp_path / "body", descriptor)
        following.reach(400_000_000)
        waiting = asyncio.create_task(following.hexdigest())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await following.close()
        # a thread that still read would now fail, and tell of it
        os.close(descriptor)
        assert not following.is_level

    asyncio.run(main())
