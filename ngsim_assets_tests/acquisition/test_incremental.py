"""A watched folder: what counts as new, when, and that nothing is done twice or lost."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ngsim_assets.acquisition import checkpoint, incremental
from ngsim_assets.acquisition.aside import move_aside
from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile, Share
from ngsim_assets.acquisition.errors import FileStillChanging
from ngsim_assets.acquisition.incremental import Changes, Gone, IncrementalLoader, Loaded, Postponed
from ngsim_assets.acquisition.landing import LandingZone, absolute
from ngsim_assets.acquisition.listing import FileState, listing, time_at
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.errors import DiskFull

Result = str | NgsimAssetsError


@dataclass
class Watched:
    """A folder, its landing zone and a taker of texts: the first word names the partition."""

    root: Path
    landing: LandingZone
    now: int | None = None
    slept: list[float] = field(default_factory=list[float])
    read: list[str] = field(default_factory=list[str])
    on_read: Callable[[Path], None] = lambda path: None

    def loader(self, settle: float = 0, **options: str) -> IncrementalLoader:
        return IncrementalLoader(
            self.root,
            LandingZone(self.landing.root),
            settle=settle,
            aside=self.root.parent / "rejected",
            options=options,
            clock=lambda folder: time_at(folder) if self.now is None else self.now,
            sleep=self.slept.append,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def take(self, path: Path) -> Iterator[Result]:
        self.read.append(path.name)
        text = path.read_text()
        self.on_read(path)
        if not text.strip() or text.startswith("bad"):
            error = NgsimAssetsError(f"{path}: no good", "write another")
            self.landing.reject(path, error)
            yield error
            return
        state = FileState.of(path)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        place = Claim(absolute(path), None, *state[:2], sha256, 0, *state[2:])
        content = Content(1, (int(sha256[:12], 16), 1))
        file = DeliveredFile(
            name=path.name,
            sha256=sha256,
            size=len(text),
            columns=(),
            rows=1,
            partitions={text.split()[0]: Share(1, content, ("part",))},
            unassigned=None,
            options={},
            claims=(place,),
        )
        with self.landing.staging() as staging:
            (staging.folder / "part").write_text(text)
            with self.landing.changing() as change:
                same = change.holdings.of_content(sha256)
                if same:
                    change.claim(same[0], place)
                else:
                    change.promote(staging, file)
        yield text

    def load(self, settle: float = 0) -> list[Loaded[Result] | Gone | Postponed]:
        self.read.clear()
        return list(self.loader(settle).load(self.take, refusal))

    def changes(self, settle: float = 0) -> Changes:
        return self.loader(settle).changes()

    @property
    def journal(self) -> Path:
        (path,) = (self.landing.root / "checkpoints").glob("*.jsonl")
        return path

    def live(self) -> dict[str, str]:
        """Text by path, of everything the landing zone holds."""
        return {
            claim.path: (self.landing.root / "files" / file.folder / "part").read_text()
            for file in self.landing.files()
            for claim in file.claims
        }


def refusal(result: Result) -> NgsimAssetsError | None:
    return result if isinstance(result, NgsimAssetsError) else None


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
