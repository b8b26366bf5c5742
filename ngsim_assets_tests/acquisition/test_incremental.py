"""A watched folder: what counts as new, when, and what becomes of each kind of file."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ngsim_assets.acquisition import incremental
from ngsim_assets.acquisition.aside import move_aside
from ngsim_assets.acquisition.errors import FileStillChanging
from ngsim_assets.acquisition.incremental import Changes, Gone, Loaded, Postponed
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.acquisition.listing import FileState, listing, time_at
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets_tests.acquisition.watched import Result, Watched, refusal


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "in").mkdir()
    return Watched(tmp_path / "in", LandingZone(tmp_path / "landing"))


class TestWhatIsSeen:
    def test_each_kind_of_event(self, watched: Watched) -> None:
        first, second = watched.write("a", "p 1"), watched.write("deep/er/b", "q 2")
        assert set(watched.changes().ready) == {first, second}
        assert len(watched.load()) == 2
        seen = watched.changes()
        assert (seen.known, seen.ready, seen.waiting) == (2, (), False)
        assert watched.load() == []
        with first.open("a") as file:
            file.write(" more")
        assert watched.changes().ready == (first,)
        watched.load()
        os.utime(second, ns=(7, 7))
        assert watched.changes().ready == (second,)
        watched.load()
        replacement = watched.write(".hidden", "p 9 more")
        os.utime(replacement, ns=(first.stat().st_atime_ns, first.stat().st_mtime_ns))
        replacement.replace(first)
        assert watched.changes().ready == (first,), "size and time are the same, the file is not"
        watched.load()
        renamed = first.rename(first.with_name("c"))
        seen = watched.changes()
        assert (seen.ready, seen.gone) == ((renamed,), (first,))
        watched.load()
        renamed.unlink()
        assert watched.changes().gone == (renamed,)
        assert watched.load() == [Gone(renamed, ("p",))]
        assert watched.load() == [], "told once"
        assert watched.landing.partitions() == ["p", "q"], "nothing is deleted"
        watched.write("c", "p 9 more")
        assert len(watched.load()) == 1

    def test_the_digest_stands_for_what_waits(self, watched: Watched) -> None:
        assert watched.changes().digest == ""
        watched.write("a", "p 1")
        before = watched.changes().digest
        assert watched.changes().digest == before != ""
        watched.write("a", "p 22")
        assert watched.changes().digest not in ("", before)

    def test_what_is_left_out(self, watched: Watched) -> None:
        for name in (".a", ".git/b", "c.part", "d.crdownload", "e.tmp"):
            watched.write(name, "p 1")
        os.mkfifo(watched.root / "pipe")
        (watched.root / "nowhere").symlink_to("missing")
        (watched.root / "circle").symlink_to(watched.root)
        outside = watched.root.parent / "outside"
        outside.write_text("p 1")
        link = watched.root / "link"
        link.symlink_to(outside)
        assert watched.changes().ready == (link,)
        watched.load()
        outside.write_text("bad")
        (result,) = watched.load()
        assert isinstance(result, Loaded)
        assert result.aside is None, "what a link leads to is not ours to move"
        assert link.is_symlink()
        assert watched.changes().known == 1

    def test_a_folder_that_cannot_be_read_hides_no_file(
        self, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched.write("a/x", "p 1")
        watched.write("b/y", "q 1")
        watched.load()
        closed = str(watched.root / "a")
        real = os.scandir

        def scandir(folder: str) -> object:
            if folder == closed:
                raise PermissionError(errno.EACCES, "closed", folder)
            return real(folder)

        monkeypatch.setattr(os, "scandir", scandir)
        (watched.root / "b" / "y").unlink()
        seen = watched.changes()
        assert seen.unreadable == (Path(closed),)
        assert seen.gone == (watched.root / "b" / "y",)
        monkeypatch.undo()
        watched.root.rename(watched.root.with_name("unmounted"))
        seen = watched.changes()
        assert (seen.unreadable, seen.gone) == ((watched.root,), ())
        assert watched.load() == []

    def test_names_of_every_kind(self, watched: Watched) -> None:
        names = [b"\xff\xfe.csv", "übung ' \" \n.txt".encode(), b"$(x) & y", b"a" * 250]
        for number, name in enumerate(names):
            (watched.root / os.fsdecode(name)).write_text(f"p {number}")
        assert len(listing(watched.root).files) == 4
        # the first is not text, which is for the domain to refuse
        for name in (names[0], names[3], b"b." + b"c" * 240):
            (watched.root / os.fsdecode(name)).write_text("bad")
        watched.landing.reject = lambda *args, **kwargs: None  # type: ignore[method-assign]
        assert len(watched.load()) == 5
        rejected = watched.root.parent / "rejected"
        assert (rejected / os.fsdecode(names[0])).exists()
        assert len(list(rejected.iterdir())) == 6
        assert watched.changes().known == 2

    def test_a_look_opens_nothing_but_the_checkpoint(self, watched: Watched) -> None:
        for number in range(1000):
            watched.write(f"{number % 9}/{number}", f"p {number}")
        watched.loader()._checkpoint.replace(
            {
                name: incremental.Entry("taken", state)
                for name, state in listing(watched.root).files.items()
                if not name.endswith("7")
            }
        )
        loader = watched.loader()
        opened: list[object] = []
        recording = True
        sys.addaudithook(
            lambda event, args: opened.append(args[0]) if recording and event == "open" else None
        )
        seen = loader.changes()
        recording = False
        assert (seen.known, len(seen.ready)) == (900, 100)
        assert len(opened) <= 3, "the checkpoint, and a nameless file that tells the time"


class TestSettling:
    SECOND = 1_000_000_000

    def at(self, path: Path, seconds: float) -> int:
        return FileState.of(path).changed_ns + int(seconds * self.SECOND)

    def test_a_file_waits_until_it_has_not_changed_for_a_while(self, watched: Watched) -> None:
        path = watched.write("a", "p 1")
        watched.now = self.at(path, 4.9)
        assert watched.changes(5).settling == (path,)
        assert watched.changes(5).digest == ""
        watched.now = self.at(path, 5.0)
        assert watched.changes(5).ready == (path,)
        os.utime(path, ns=(0, 0))
        watched.now = self.at(path, 1.0)
        assert watched.changes(5).settling == (path,), "an old time does not make an old file"

    def test_an_empty_file_waits_longer(self, watched: Watched) -> None:
        path = watched.write("a", "")
        watched.now = self.at(path, 59)
        assert watched.changes(5).settling == (path,)
        watched.now = self.at(path, 60)
        assert watched.changes(5).ready == (path,)

    def test_the_future_is_believed_when_it_stands_still(self, watched: Watched) -> None:
        paths = [watched.write(f"{number:03d}", "p 1") for number in range(120)]
        watched.now = self.at(paths[0], -3600)
        loader = watched.loader(5)
        first = loader.changes()
        assert (first.ready, first.settling) == ((), ())
        assert len(first.unsure) == 100, "a cursor is bounded"
        paths[1].write_text("p 2")
        second = loader.changes(first.unsure)
        assert second.ready == (paths[0], *paths[2:100])
        assert "001" in second.unsure

    def test_loading_waits_for_what_settles(self, watched: Watched) -> None:
        done, growing, future = (watched.write(name, f"p {name}") for name in "abc")
        os.utime(future, ns=(0, self.at(done, 3600)))
        watched.now = self.at(done, 1)
        waits: list[str] = []

        def sleep(seconds: float) -> None:
            assert 3 < seconds < 5.1
            watched.now = self.at(done, 6)
            growing.write_text("p b more")
            os.utime(growing, ns=(0, self.at(done, 5)))

        loader = watched.loader(5)
        loader._sleep = sleep
        results = list(loader.load(watched.take, refusal, on_wait=waits.append))
        assert [type(result) for result in results] == [Loaded, Loaded, Postponed]
        assert watched.read == ["a", "c"]
        assert len(waits) == 1

    def test_the_older_content_is_taken_first(self, watched: Watched) -> None:
        for name, mtime in (("a", 30), ("b", 10), ("c", 20)):
            os.utime(watched.write(name, f"p {name}"), ns=(0, mtime))
        watched.load()
        assert watched.read == ["b", "c", "a"]

    def test_time_is_told_by_the_file_system(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        assert 0 <= time_at(tmp_path) - FileState.of(tmp_path / "a").changed_ns < 5 * self.SECOND
        assert abs(time_at(tmp_path / "missing") - time.time_ns()) < 5 * self.SECOND


class TestBadFiles:
    def test_they_are_moved_with_the_reason(self, watched: Watched) -> None:
        for number in range(3):
            watched.write("sub/x.tar.gz", f"bad {number}")
            (result,) = watched.load()
            assert isinstance(result, Loaded)
        folder = watched.root.parent / "rejected" / "sub"
        names = {path.name for path in folder.iterdir()}
        stems = ("x.tar.gz", "x.tar (2).gz", "x.tar (3).gz")
        assert names == {name + end for name in stems for end in ("", ".reason.txt")}
        reason = (folder / "x.tar.gz.reason.txt").read_text()
        assert "no good" in reason
        assert "write another" in reason
        (rejection,) = watched.landing.rejected()
        assert rejection.aside == str(folder / "x.tar (3).gz")
        assert watched.changes() == Changes(), "neither gone nor known"
        (folder / "x.tar (3).gz").unlink()
        watched.load()
        assert watched.landing.rejected() == [], "who removes the file has dealt with it"

    def test_nothing_that_was_moved_before_is_in_the_way_or_replaced(
        self, watched: Watched
    ) -> None:
        for name in ("sub", "a.reason.txt"):
            watched.write(name, f"bad {name}")
            watched.load()
        (watched.root / "sub").mkdir()
        for name in ("sub/x", "a"):
            watched.write(name, f"bad {name}")
            watched.load()
        folder = watched.root.parent / "rejected"
        for moved, text in (
            ("sub", "bad sub"),
            ("a.reason.txt", "bad a.reason.txt"),
            ("sub (2)/x", "bad sub/x"),
            ("a (2)", "bad a"),
        ):
            assert (folder / moved).read_text() == text

    def test_one_that_cannot_be_moved_is_tried_again_when_it_changes(
        self, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incremental, "move_aside", lambda *args: None)
        path = watched.write("a", "bad")
        (result,) = watched.load()
        assert isinstance(result, Loaded)
        assert (result.aside, path.exists()) == (None, True)
        assert watched.load() == []
        assert watched.changes().known == 1
        path.write_text("p 1")
        watched.load()
        assert watched.landing.rejected() == []

    def test_one_with_good_parts_stays(self, watched: Watched) -> None:
        path = watched.write("a", "p 1")

        def take(path: Path) -> Iterator[Result]:
            yield from watched.take(path)
            yield NgsimAssetsError("half of it", "")

        (result,) = watched.loader().load(take, refusal)
        assert isinstance(result, Loaded)
        assert (result.aside, path.exists()) == (None, True)
        assert watched.changes().known == 1

    def test_moving_to_another_disk_copies(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a"
        path.write_text("text")
        real = Path.rename

        def rename(source: Path, target: Path) -> Path:
            if source == path:
                raise OSError(errno.EXDEV, "another disk")
            return real(source, target)

        monkeypatch.setattr(Path, "rename", rename)
        target = move_aside(path, tmp_path / "r", "a", "why")
        assert target == tmp_path / "r" / "a"
        assert target.read_text() == "text"
        assert not path.exists()
        assert {entry.name for entry in target.parent.iterdir()} == {"a", "a.reason.txt"}

    def test_what_may_not_be_moved_leaves_no_trace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a"
        path.write_text("text")

        def rename(source: Path, target: Path) -> Path:
            raise PermissionError(errno.EACCES, "no")

        monkeypatch.setattr(Path, "rename", rename)
        assert move_aside(path, tmp_path / "r", "a", "why") is None
        assert path.read_text() == "text"
        assert list((tmp_path / "r").iterdir()) == []


class TestFilesOnTheirWay:
    def test_one_that_changes_while_it_is_read(self, watched: Watched) -> None:
        path = watched.write("a", "bad so far")
        watched.on_read = lambda path: path.write_text("p complete now") and None
        (result,) = watched.load()
        assert isinstance(result, Postponed)
        assert path.exists()
        watched.on_read = lambda path: None
        watched.load()
        assert watched.live() == {str(path): "p complete now"}

    def test_one_that_says_that_it_changed(self, watched: Watched) -> None:
        path = watched.write("a", "p 1")
        (result,) = watched.loader().load(lambda path: [FileStillChanging(path)], lambda r: r)
        assert result == Postponed(path, FileStillChanging(path).problem)
        assert watched.changes().ready == (path,)

    def test_one_that_vanishes(self, watched: Watched) -> None:
        path = watched.write("a", "bad")
        other = watched.write("b", "p 1")
        os.utime(path, ns=(0, 1))

        def vanish(at: Path) -> None:
            path.unlink(missing_ok=True)
            other.unlink(missing_ok=True)

        watched.on_read = vanish
        watched.landing.reject = lambda *args, **kwargs: None  # type: ignore[method-assign]
        assert watched.load() == []
        assert watched.changes() == Changes()

    def test_a_bad_one_that_is_open_for_writing_is_not_moved(self, watched: Watched) -> None:
        path = watched.write("a", "bad so far")
        with path.open("r+"):
            try:
                with path.open("rb") as file:
                    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    pytest.skip("no leases on this file system")
            (result,) = watched.load()
            assert isinstance(result, Postponed)
            assert "still writing" in result.reason
        (result,) = watched.load()
        assert isinstance(result, Loaded)
        assert result.aside is not None

    def test_a_failing_disk_is_not_the_file_s_fault(self, watched: Watched) -> None:
        path = watched.write("a", "p 1")
        sick = NgsimAssetsError("cannot be read", "")
        sick.__cause__ = OSError(errno.EIO, "input/output error")
        (result,) = watched.loader().load(lambda path: [sick], lambda result: result)
        assert isinstance(result, Postponed)
        assert path.exists()
        closed = NgsimAssetsError("cannot be read", "")
        closed.__cause__ = PermissionError(errno.EACCES, "permission denied")
        (result,) = watched.loader().load(lambda path: [closed], lambda result: result)
        assert isinstance(result, Loaded)
        assert path.exists(), "what cannot be looked into is not judged"
        assert watched.changes().known == 1
        path.chmod(0o600)
        assert watched.changes().ready == (path,)

    def test_a_full_disk_stops_it_all(self, watched: Watched) -> None:
        path = watched.write("a", "p 1")

        def take(path: Path) -> Iterator[Result]:
            raise DiskFull(path)
            yield

        with pytest.raises(DiskFull):
            list(watched.loader().load(take, refusal))
        assert len(watched.load()) == 1
        assert path.exists()
