"""The landing zone: whole deliveries or none, told apart by content, safe with several writers."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from ngsim_assets.acquisition import remembered
from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile, Share
from ngsim_assets.acquisition.errors import DamagedManifest, RowsUnaccounted
from ngsim_assets.acquisition.landing import Change, LandingZone, Staging, absolute
from ngsim_assets.errors import NgsimAssetsError

PARTITION = "place|time"


def claim(path: Path, member: str | None = None) -> Claim:
    size, mtime_ns = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
    return Claim(absolute(path), member, size, mtime_ns, "packed")


def draft(
    path: Path,
    sha256: str,
    contents: dict[str, Content],
    *,
    member: str | None = None,
    rows: int | None = None,
) -> DeliveredFile:
    shares = {
        partition: Share(content.rows, content, (f"part-{place}",), {"t0": 7})
        for place, (partition, content) in enumerate(contents.items())
    }
    return DeliveredFile(
        name=path.name,
        sha256=sha256,
        size=10,
        columns=("a",),
        rows=sum(share.rows for share in shares.values()) if rows is None else rows,
        partitions=shares,
        unassigned=None,
        options={},
        claims=(claim(path, member),),
    )


def write_parts(staging: Staging, file: DeliveredFile) -> None:
    for share in file.partitions.values():
        for part in share.parts:
            (staging.folder / part).write_text(file.sha256)


def deliver(zone: LandingZone, file: DeliveredFile) -> DeliveredFile:
    with zone.staging() as staging:
        write_parts(staging, file)
        with zone.changing() as change:
            return change.promote(staging, file)


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("rows")
    return path


def test_opening_and_reading_create_nothing(zone: LandingZone) -> None:
    assert zone.files() == []
    assert zone.partitions() == []
    assert zone.deliveries(PARTITION) == []
    assert zone.rejected() == []
    assert zone.partition_hash(PARTITION) == Content().digest
    assert not zone.root.exists()


def test_a_delivery_is_found_again_with_everything(zone: LandingZone, source: Path) -> None:
    file = draft(source, "aa" * 32, {PARTITION: Content(3, (1, 2**64 - 1)), "q|r": Content(1)})
    kept = deliver(zone, file)
    again = LandingZone(zone.root)
    assert again.files() == [kept]
    assert kept.sequence == 1
    assert kept.claims[0].path == str(source)
    assert again.partitions() == [PARTITION, "q|r"]
    (delivery,) = again.deliveries(PARTITION)
    assert delivery.rows == 3
    assert delivery.share.extras == {"t0": 7}
    assert [part.read_text() for part in delivery.parts] == [file.sha256]
    assert again.partition_hash(PARTITION) == Content(3, (1, 2**64 - 1)).digest


def test_rows_must_add_up(zone: LandingZone, source: Path) -> None:
    with pytest.raises(RowsUnaccounted, match="4 rows were read but 3"):
        deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(3)}, rows=4))
    assert zone.files() == []
    assert list((zone.root / ".staging").iterdir()) == []


def test_hash_does_not_depend_on_order_or_division(tmp_path: Path) -> None:
    hashes = set()
    contents = [Content(2, (5, 6)), Content(3, (2**64 - 3, 9))]
    for number, parts in enumerate([contents, contents[::-1], [contents[0] + contents[1]]]):
        zone = LandingZone(tmp_path / str(number))
        for place, content in enumerate(parts):
            deliver(zone, draft(tmp_path / f"{place}.csv", f"{place}" * 64, {PARTITION: content}))
        hashes.add(zone.partition_hash(PARTITION))
    assert len(hashes) == 1


def test_the_same_rows_in_another_file_are_one_delivery(zone: LandingZone, tmp_path: Path) -> None:
    first = deliver(zone, draft(tmp_path / "a.txt", "aa" * 32, {PARTITION: Content(2, (5, 6))}))
    before = zone.partition_hash(PARTITION)
    deliver(zone, draft(tmp_path / "b.csv", "bb" * 32, {PARTITION: Content(2, (5, 6))}))
    assert len(zone.files()) == 2
    assert [delivery.file for delivery in zone.deliveries(PARTITION)] == [first]
    assert zone.partition_hash(PARTITION) == before


def test_new_content_replaces_what_its_path_held(zone: LandingZone, source: Path) -> None:
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2), "old|one": Content(1)}))
    new = deliver(zone, draft(source, "bb" * 32, {PARTITION: Content(3)}))
    assert zone.files() == [new]
    assert zone.partitions() == [PARTITION]
    assert len(list((zone.root / "files").iterdir())) == 1


def test_the_same_content_taken_in_otherwise_replaces_it(zone: LandingZone, source: Path) -> None:
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    with zone.changing() as change:
        change.claim(change.files()[0], claim(source.with_name("copy.csv")))
    again = deliver(zone, draft(source, "aa" * 32, {"other|key": Content(2)}))
    assert zone.files() == [again]
    assert zone.partitions() == ["other|key"]


def test_a_copy_keeps_the_rows_when_the_original_changes(zone: LandingZone, source: Path) -> None:
    copy = source.with_name("copy.csv")
    copy.write_bytes(source.read_bytes())
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    with zone.changing() as change:
        change.claim(change.files()[0], claim(copy))
    assert {held.path for held in zone.files()[0].claims} == {str(source), str(copy)}
    deliver(zone, draft(source, "bb" * 32, {"new|one": Content(1)}))
    assert zone.partitions() == ["new|one", PARTITION]
    deliver(zone, draft(copy, "bb" * 32, {"new|one": Content(1)}))
    assert zone.partitions() == ["new|one"]


def test_a_renamed_file_lets_its_old_path_go(zone: LandingZone, source: Path) -> None:
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    renamed = source.rename(source.with_name("b.csv"))
    with zone.changing() as change:
        change.claim(change.files()[0], claim(renamed))
    assert [held.path for held in zone.files()[0].claims] == [str(renamed)]
    deliver(zone, draft(renamed, "bb" * 32, {"new|one": Content(1)}))
    assert zone.partitions() == ["new|one"]


def test_members_gone_from_an_archive_are_let_go(zone: LandingZone, source: Path) -> None:
    for member in ("x", "y"):
        key = f"{member}|1"
        deliver(zone, draft(source, member * 64, {key: Content(2)}, member=member))
    assert zone.partitions() == ["x|1", "y|1"]
    with zone.changing() as change:
        change.release(source, {"y"})
    assert zone.partitions() == ["y|1"]


def test_a_refused_file_is_remembered_until_it_is_taken_in(zone: LandingZone, source: Path) -> None:
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    zone.reject(source, NgsimAssetsError("it is cut", "get it again"))
    (rejection,) = zone.rejected()
    assert (rejection.path, rejection.problem) == (str(source), "it is cut")
    assert source.read_text() == "rows"
    assert zone.partitions() == [PARTITION], "what it delivered before stays"
    deliver(zone, draft(source, "bb" * 32, {PARTITION: Content(3)}))
    assert zone.rejected() == []


def test_an_interrupted_move_of_a_path_is_settled_by_the_later_claim(
    zone: LandingZone, source: Path
) -> None:
    old = deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    folder = zone.root / "files" / old.folder
    aside = zone.root / "aside"
    folder.rename(aside)
    new = deliver(zone, draft(source, "bb" * 32, {PARTITION: Content(3)}))
    # both are there now, as if the writer had died between its two steps
    later = zone.root / "files" / new.folder
    manifest = json.loads((later / "manifest.json").read_text())
    manifest["sequence"], manifest["claims"][0]["order"] = 2, 2
    moved = later.rename(later.with_name(f"00000002-{new.sha256[:12]}"))
    (moved / "manifest.json").write_text(json.dumps(manifest))
    aside.rename(folder)
    assert [file.sha256 for file in zone.files()] == ["bb" * 32]
    with zone.changing() as change:
        change.release(source, {None})
    assert not folder.exists()


def test_a_damaged_manifest_is_named(zone: LandingZone, source: Path) -> None:
    file = deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    (zone.root / "files" / file.folder / "manifest.json").write_text("{")
    with pytest.raises(DamagedManifest, match=file.folder):
        LandingZone(zone.root).files()


def test_a_reader_keeps_what_it_opened(zone: LandingZone, source: Path) -> None:
    deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    with zone.reading() as record:
        opened = record.deliveries(PARTITION)[0].parts[0].open()
    with opened:
        deliver(zone, draft(source, "bb" * 32, {PARTITION: Content(3)}))
        assert opened.read() == "aa" * 32


@pytest.mark.parametrize("longest", [1 << 18, 300])
def test_every_opened_zone_sees_the_same(
    zone: LandingZone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    monkeypatch.setattr(remembered, "_LONGEST_LOG", longest)
    zones = [zone, LandingZone(zone.root), LandingZone(zone.root)]
    paths = [tmp_path / f"{number}.csv" for number in range(4)]
    for path in paths:
        path.touch()
    random = Random(7)  # noqa: S311
    for step in range(60):
        changer, path = random.choice(zones), random.choice(paths)
        match random.randrange(5):
            case 0 | 1:
                content = Content(1, (random.randrange(6), 1))
                deliver(changer, draft(path, f"{content.sums[0]}" * 64, {PARTITION: content}))
            case 2:
                with changer.changing() as change:
                    for file in change.files()[:1]:
                        change.claim(file, claim(path))
            case 3:
                changer.reject(path, NgsimAssetsError(f"bad {step}", ""))
            case _:
                folders = sorted((zone.root / "files").glob("*"))
                if folders and random.random() < 0.3:
                    time.sleep(0.02)  # the file system's clock has to move on
                    shutil.rmtree(folders[0])
        fresh = LandingZone(zone.root)
        looked = random.choice(zones)
        assert looked.files() == fresh.files()
        assert looked.rejected() == fresh.rejected()
        assert looked.partitions() == sorted({p for f in fresh.files() for p in f.partitions})
        for place in paths:
            held = [f for f in fresh.files() if any(c.path == str(place) for c in f.claims)]
            assert looked.held_by(place) == held


WRITER = """
    import sys
    from pathlib import Path
    from ngsim_assets.acquisition.content import Content
    from ngsim_assets.acquisition.landing import LandingZone
    from ngsim_assets_tests.acquisition.test_landing import deliver, draft

    root, name = Path(sys.argv[1]), sys.argv[2]
    zone = LandingZone(root / "landing")
    for number in range(int(sys.argv[3])):
        path = root / f"{name}-{number % 7}.csv"
        deliver(zone, draft(path, f"{name}{number:063d}", {f"p|{name}": Content(1, (number, 1))}))
        print(number, flush=True)
"""


@contextmanager
def writer(root: Path, name: str, deliveries: int) -> Iterator[subprocess.Popen[str]]:
    code = textwrap.dedent(WRITER)
    arguments = [sys.executable, "-c", code, str(root), name, str(deliveries)]
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        try:
            yield process
        finally:
            process.kill()


def check_whole(zone: LandingZone) -> None:
    for file in zone.files():
        for partition in file.partitions:
            for part in zone.root.glob(f"files/{file.folder}/part-*"):
                assert part.read_text() == file.sha256, partition
    assert len({held.place for file in zone.files() for held in file.claims}) == sum(
        len(file.claims) for file in zone.files()
    )


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with writer(tmp_path, "a", 30) as first, writer(tmp_path, "b", 30) as second:
        for process in (first, second):
            process.communicate(timeout=60)
            assert process.returncode == 0
    zone = LandingZone(tmp_path / "landing")
    files = zone.files()
    assert len(files) == 14, "seven paths each, the last content of each"
    assert sorted({file.sequence for file in files}) == [file.sequence for file in files]
    assert {file.sha256 for file in files} == {
        f"{name}{number:063d}" for name in "ab" for number in range(23, 30)
    }
    check_whole(zone)
    assert list((zone.root / ".staging").iterdir()) == []


def test_a_killed_writer_leaves_whole_deliveries_only(tmp_path: Path) -> None:
    zone = LandingZone(tmp_path / "landing")
    with writer(tmp_path, "k", 100_000) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        time.sleep(0.0137)  # somewhere in the middle of one of the next
        process.send_signal(signal.SIGKILL)
    check_whole(zone)
    assert len(zone.files()) == 7
    deliver(zone, draft(tmp_path / "after.csv", "cc" * 32, {PARTITION: Content(2)}))
    assert list((zone.root / ".staging").iterdir()) == [], "what it left is swept"
    assert len(list((zone.root / "files").iterdir())) == len(zone.files())


def test_a_delivery_being_written_is_not_swept(zone: LandingZone, source: Path) -> None:
    with zone.staging() as staging:
        (staging.folder / "part-0").write_text("x")
        deliver(zone, draft(source, "bb" * 32, {PARTITION: Content(3)}))
        assert (staging.folder / "part-0").read_text() == "x"
    assert not staging.folder.exists()


def test_changes_see_what_changed(zone: LandingZone, source: Path) -> None:
    file = deliver(zone, draft(source, "aa" * 32, {PARTITION: Content(2)}))
    with zone.changing() as change:
        assert isinstance(change, Change)
        assert change.files() == [file]


def test_rows_keep_their_place_when_the_file_that_brought_them_first_goes(
    zone: LandingZone, tmp_path: Path
) -> None:
    """Of two files that contradict each other the later one wins: which one that is must not
    change because the same rows are now in another file."""
    first, second, copy = (tmp_path / name for name in ("first.csv", "second.csv", "copy.csv"))
    for path in (first, second, copy):
        path.write_text("rows")
    old, new = Content(2, (5, 5)), Content(2, (6, 6))
    deliver(zone, draft(first, "aa" * 32, {PARTITION: old}))
    deliver(zone, draft(second, "bb" * 32, {PARTITION: new}))
    deliver(zone, draft(copy, "cc" * 32, {PARTITION: old}))
    deliver(zone, draft(first, "dd" * 32, {"other|time": Content(1)}))
    assert [item.file.name for item in zone.deliveries(PARTITION)] == ["copy.csv", "second.csv"]
    # the copy's rows once more, in another form
    deliver(zone, draft(copy, "ee" * 32, {PARTITION: old}))
    again = LandingZone(zone.root).deliveries(PARTITION)
    assert [(item.file.name, item.file.sha256) for item in again] == [
        ("copy.csv", "ee" * 32),
        ("second.csv", "bb" * 32),
    ]
    # rows that nobody held meanwhile come anew
    deliver(zone, draft(copy, "ff" * 32, {"other|time": Content(3)}))
    deliver(zone, draft(copy, "gg" * 32, {PARTITION: old}))
    assert [item.file.name for item in zone.deliveries(PARTITION)] == ["second.csv", "copy.csv"]
