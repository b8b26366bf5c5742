"""Nothing is done twice or lost: checkpoints that are damaged, loaders that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ngsim_assets.acquisition import checkpoint, incremental
from ngsim_assets.acquisition.incremental import Gone, Loaded
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.acquisition.listing import listing
from ngsim_assets_tests.acquisition.watched import Result, Watched, refusal


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "in").mkdir()
    return Watched(tmp_path / "in", LandingZone(tmp_path / "landing"))


class TestCheckpoint:
    def test_losing_it_costs_time_only(self, watched: Watched) -> None:
        for number in range(20):
            watched.write(f"{number}", f"p{number % 3} {number}")
        watched.load()
        before = watched.live()
        watched.journal.unlink()
        assert "made anew" in watched.changes().notes[0]
        (watched.root / "3").write_text("p changed")
        (watched.root / "4").unlink()
        results = watched.load()
        assert watched.read == ["3"], "the landing zone's manifests are the truth"
        assert Gone(watched.root / "4", ("p1",)) in results
        assert watched.live() == before | {str(watched.root / "3"): "p changed"}
        assert watched.changes().notes == ()

    @pytest.mark.parametrize("where", [0, 30, 400, -1])
    def test_damage_costs_the_files_it_hits(self, watched: Watched, where: int) -> None:
        for number in range(10):
            watched.write(f"{number}", f"p {number}")
        watched.load()
        data = bytearray(watched.journal.read_bytes())
        data[where] ^= 0x15
        watched.journal.write_bytes(data)
        assert watched.load() == [] or len(watched.read) <= 1
        assert watched.load() == []
        assert watched.changes().notes == ()

    @pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
    def test_half_of_it_is_half_as_good(self, watched: Watched, share: float) -> None:
        for number in range(10):
            watched.write(f"{number}", f"p {number}")
        watched.load()
        data = watched.journal.read_bytes()
        watched.journal.write_bytes(data[: int(share * len(data))])
        live = watched.live()
        watched.load()
        assert watched.live() == live
        assert watched.load() == []

    def test_noise_is_no_checkpoint(self, watched: Watched) -> None:
        watched.write("a", "p 1")
        watched.load()
        for noise in (b"", b"\n\n", b"\0" * 99, os.urandom(5000), b"[]\n" * 9):
            watched.journal.write_bytes(noise)
            assert watched.load() == []

    def test_a_delivery_deleted_by_hand_is_read_again(self, watched: Watched) -> None:
        watched.write("a", "p 1")
        watched.load()
        (file,) = watched.landing.files()
        folder = watched.landing.root / "files" / file.folder
        folder.rename(watched.root.parent / "lost")
        assert watched.changes().ready == (watched.root / "a",)
        watched.load()
        assert watched.read == ["a"]
        assert watched.landing.partitions() == ["p"]

    def test_other_options_look_at_everything_again(self, watched: Watched) -> None:
        watched.write("a", "p 1")
        watched.load()
        assert watched.loader(reader="2").changes().ready == (watched.root / "a",)

    def test_it_does_not_grow_without_end(
        self, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoint, "_SPARE_LINES", 10)
        path = watched.write("a", "p 1")
        for number in range(30):
            os.utime(path, ns=(0, number))
            loader = watched.loader()
            for _ in loader.load(lambda path: ["fine"], refusal):
                pass
        assert watched.journal.read_bytes().count(b"\n") < 15


class TestKilled:
    def test_at_every_point(self, watched: Watched, tmp_path: Path) -> None:
        """Killed at each write that reaches the disk, in turn: the rest is done, and only that."""
        points = 0
        while self.killed_at(points, watched):
            points += 1
            finished = {
                name for name, entry in self.entries(watched).items() if entry.outcome == "taken"
            }
            expected = {
                str(path): path.read_text()
                for path in watched.root.iterdir()
                if not path.read_text().startswith("bad")
            }
            watched.load()
            assert not finished & set(watched.read), "finished files are not read again"
            assert watched.live().items() >= expected.items()
            assert not (watched.root / "x").exists(), "the bad one is out of the way"
            assert watched.load() == []
            assert list((watched.landing.root / ".staging").iterdir()) == []
            reasons = list((tmp_path / "rejected").glob("*.reason.txt"))
            assert all(path.with_suffix("").with_suffix("").exists() for path in reasons)
        assert points > 20

    def killed_at(self, point: int, watched: Watched) -> bool:
        """Change things, take them in in a child that dies at its `point`-th fsync; if it did."""
        watched.write("a", f"p {point}")
        watched.write("b", f"q {point}")
        watched.write("x", f"bad {point}")
        watched.write(f"new-{point}", f"n {point}")
        child = os.fork()
        if child == 0:
            left = point
            real = os.fsync

            def fsync(descriptor: int) -> None:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                real(descriptor)

            os.fsync = fsync
            try:
                watched.load()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)

    def entries(self, watched: Watched) -> dict[str, incremental.Entry]:
        known = watched.loader()._checkpoint.read().entries
        states = listing(watched.root).files
        return {name: e for name, e in known.items() if states.get(name) == e.state}

    def test_what_it_took_from_partitions_is_told_by_the_next(self, watched: Watched) -> None:
        watched.write("a", "p 1")
        watched.write("b", "p 2")
        watched.load()
        path = watched.write("a", "q 1")
        results = watched.loader().load(watched.take, refusal)
        next(results)
        results.close()  # dies after the delivery, before what it means was dealt with
        (again,) = watched.load()
        assert isinstance(again, Loaded)
        assert (again.path, again.lost) == (path, {"p"})

    def test_a_file_that_kills_does_not_hold_up_the_others(self, watched: Watched) -> None:
        os.utime(watched.write("a", "p 1"), ns=(0, 1))
        watched.write("b", "p 2")

        def die(path: Path) -> Iterator[Result]:
            if path.name == "a":
                raise MemoryError
            yield from watched.take(path)

        for _ in range(2):
            with pytest.raises(MemoryError):
                list(watched.loader().load(die, refusal))
        assert watched.read == ["b"]

    def test_two_at_once(self, watched: Watched) -> None:
        for number in range(30):
            watched.write(f"{number}", f"p{number} x")
        watched.write("bad", "bad")
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    list(watched.loader().load(watched.take, refusal))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
        assert len(watched.live()) == 30
        assert len(watched.landing.files()) == 30
        assert watched.load() == []
        assert watched.read == []
