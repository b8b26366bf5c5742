"""What was downloaded is kept by content, whole or not at all, and what is remembered is true."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.errors import DamagedRecord, NotInStore, UnusableName
from ngsim_assets.acquisition.manifests import FailedAttempt, SchemaChange, new_manifest
from ngsim_assets.acquisition.sources import Artifact, Column, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer.errors import NotFound

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZIP = Resource("portal", "us-101/zip", "https://example.org/us-101.zip", {"highway": "us-101"})


def written(store: DownloadStore, content: bytes, name: str = "body") -> Path:
    """A file with `content` where downloads are under way."""
    store.root.mkdir(parents=True, exist_ok=True)
    path = store.root / f"{name}.part"
    path.write_bytes(content)
    return path


def kept(
    store: DownloadStore, content: bytes, *, name: str = "a.zip", resource: Resource = ZIP
) -> Artifact:
    """An artifact with `content`, in its place, that no manifest names."""
    stored = store.keep(written(store, content), name)
    headers = {"ETag": '"1"', "Set-Cookie": "id=1", "X-App-Token": "t0ken", "Location": "/?key=k"}
    return Artifact(
        resource, name, stored.path, stored.sha256, stored.bytes, resource.url, NOW, headers=headers
    )


def committed(
    store: DownloadStore,
    content: bytes,
    version: str = "1",
    *,
    now: datetime = NOW,
    columns: tuple[Column, ...] = (),
    resource: Resource = ZIP,
) -> Artifact:
    """An artifact with `content` that is all of `resource` now."""
    artifact = kept(store, content, resource=resource)
    description = Description(version=version, columns=columns)
    store.commit(resource, description, [artifact], now=now)
    return artifact


def change_of(store: DownloadStore, columns: tuple[Column, ...]) -> SchemaChange:
    manifest = store.manifest(ZIP.source, ZIP.key) or new_manifest(ZIP, NOW)
    return manifest.schema_change(columns)


@pytest.fixture
def store(tmp_path: Path) -> DownloadStore:
    return DownloadStore(tmp_path / "downloads")


def test_opening_and_asking_creates_nothing(store: DownloadStore) -> None:
    assert store.held("portal", "us-101/zip") is None
    assert store.resources("portal") == []
    assert store.verify() == []
    assert store.sweep().paths == ()
    assert store.bytes_used() == 0
    assert not store.root.exists()


def test_a_file_lies_under_its_hash_and_cannot_be_written_to(store: DownloadStore) -> None:
    source = written(store, b"rows")
    stored = store.keep(source, "us-101.zip")
    digest = hashlib.sha256(b"rows").hexdigest()
    assert stored.path == store.root / "objects" / digest / "us-101.zip"
    assert (stored.sha256, stored.bytes) == (digest, 4)
    assert stored.path.read_bytes() == b"rows"
    assert stored.path.stat().st_mode & 0o777 == 0o444
    assert not source.exists()


def test_a_file_from_another_file_system_is_copied_and_gone_there(
    store: DownloadStore, tmp_path: Path
) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", delete=False) as file:
        file.write(b"rows")
    path = Path(file.name)
    if path.stat().st_dev == tmp_path.stat().st_dev:
        path.unlink()
        pytest.skip("one file system here")
    assert store.keep(path, "a.csv").path.read_bytes() == b"rows"
    assert not path.exists()
    assert list(store.objects.glob(".*")) == []


def test_the_same_content_under_another_name_takes_no_more_room(store: DownloadStore) -> None:
    first = store.keep(written(store, b"x" * 100_000), "a.csv")
    before = store.bytes_used()
    second = store.keep(written(store, b"x" * 100_000), "b.csv")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.path.samefile(second.path)
    assert store.bytes_used() == before


def test_a_damaged_copy_is_replaced_by_what_comes_again(store: DownloadStore) -> None:
    first = store.keep(written(store, b"rows"), "a.csv")
    first.path.chmod(0o644)
    first.path.write_bytes(b"rots")
    assert [item.path for item in store.verify()] == [first.path]
    store.keep(written(store, b"rows"), "b.csv")
    store.keep(written(store, b"rows"), "a.csv")
    assert first.path.read_bytes() == b"rows"
    assert store.verify() == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\nb", "x" * 201, "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(store: DownloadStore, name: str) -> None:
    with pytest.raises(UnusableName):
        store.keep(written(store, b"rows"), name)
    assert not store.objects.exists()


@pytest.mark.parametrize("key", ["", "../x", "a//b", "/a", "a/.b", "a b", "a.json/b", "ä"])
def test_a_key_that_leads_elsewhere_is_refused(store: DownloadStore, key: str) -> None:
    with pytest.raises(UnusableName):
        store.manifest_path("portal", key)


def test_what_was_committed_is_held_with_all_that_is_known_of_it(store: DownloadStore) -> None:
    artifact = committed(store, b"rows", "v1")
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert (held.version, held.fetched_at, held.current) == ("v1", NOW, True)
    (copy,) = held.artifacts
    assert (copy.path, copy.sha256, copy.bytes) == (artifact.path, artifact.sha256, 4)
    assert copy.resource == ZIP
    assert store.resources("portal") == [ZIP]


def test_no_cookie_secret_or_address_is_written_down(store: DownloadStore) -> None:
    committed(store, b"rows")
    text = store.manifest_path("portal", "us-101/zip").read_text()
    assert json.loads(text)["contents"][0]["files"][0]["headers"] == {"etag": '"1"'}
    assert not any(word in text.lower() for word in ("cookie", "t0ken", "key=k"))


def test_a_file_that_is_missing_or_cut_is_not_held(store: DownloadStore) -> None:
    artifact = committed(store, b"rows")
    artifact.path.chmod(0o644)
    artifact.path.write_bytes(b"row")
    assert store.held("portal", "us-101/zip") is None
    artifact.path.unlink()
    assert store.held("portal", "us-101/zip") is None


def test_where_the_newest_content_is_lost_the_one_before_is_held(store: DownloadStore) -> None:
    old = committed(store, b"old", "1")
    new = committed(store, b"new", "2", now=NOW + timedelta(days=1))
    new.path.unlink()
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert (held.version, held.current, held.artifacts[0].path) == ("1", False, old.path)


def test_contents_make_a_history_and_the_same_again_is_no_new_one(store: DownloadStore) -> None:
    days = [NOW + timedelta(days=day) for day in range(4)]
    for content, day in zip((b"a", b"b", b"b", b"a"), days, strict=True):
        committed(store, content, f"of day {day.day}", now=day)
    manifest = store.manifest("portal", "us-101/zip")
    assert manifest is not None
    assert [(item.version, item.fetched_at) for item in manifest.contents] == [
        ("of day 4", days[3]),
        ("of day 3", days[1]),  # the same files as on day 2
        ("of day 1", days[0]),
    ]
    assert manifest.checked_at == days[3]


def test_confirming_moves_the_time_of_the_last_look_only(store: DownloadStore) -> None:
    committed(store, b"rows")
    store.confirm(ZIP, now=NOW + timedelta(days=2))
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert (held.fetched_at, held.checked_at) == (NOW, NOW + timedelta(days=2))


def test_sets_of_columns_are_counted_and_their_changes_told(store: DownloadStore) -> None:
    x, y = Column("x", "number"), Column("y", "number")
    first, second = (x, y), (x, Column("y", "text"), Column("z", "text"))
    assert change_of(store, first).number == 1
    committed(store, b"1", columns=first)
    assert change_of(store, (y, x)).sentence == ""
    change = change_of(store, second)
    assert (change.number, change.added, change.retyped) == (2, ("z",), ("y",))
    assert change.sentence == ("its columns changed, schema version 2; new: z; of another type: y")
    committed(store, b"2", columns=second)
    back = change_of(store, first)
    assert (back.number, back.removed) == (1, ("z",))
    assert change_of(store, ()).number == 0
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert held.artifacts[0].schema_version == 2


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 2}', b"\xff\xfe", b"null"]
)
def test_a_manifest_that_cannot_be_read_is_named_and_put_aside(
    store: DownloadStore, text: bytes
) -> None:
    committed(store, b"rows")
    path = store.manifest_path("portal", "us-101/zip")
    path.write_bytes(text)
    with pytest.raises(DamagedRecord, match=r"zip\.json"):
        store.held("portal", "us-101/zip")
    with pytest.raises(DamagedRecord):
        store.sweep(unnamed_for=-1)
    assert store.resources("portal") == []
    committed(store, b"rows", "2")
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert held.version == "2"
    assert path.with_name("zip.json.unreadable").read_bytes() == text


def test_only_files_in_their_place_can_be_named(store: DownloadStore, tmp_path: Path) -> None:
    artifact = kept(store, b"rows")
    elsewhere = tmp_path / "a.zip"
    elsewhere.write_bytes(b"rows")
    wrong = Artifact(ZIP, "a.zip", elsewhere, artifact.sha256, 4, ZIP.url, NOW)
    with pytest.raises(NotInStore):
        store.commit(ZIP, Description(), [wrong], now=NOW)
    assert store.held("portal", "us-101/zip") is None


def test_sweeping_leaves_the_newest_contents_and_what_may_yet_be_named(
    store: DownloadStore,
) -> None:
    artifacts = [committed(store, content, str(content)) for content in (b"1", b"2", b"33333")]
    orphan = kept(store, b"nobody's")
    assert store.sweep().paths == ()  # all are younger than a day
    swept = store.sweep(keep=2, unnamed_for=-1)
    assert set(swept.paths) == {artifacts[0].path, orphan.path}
    assert swept.bytes == 1 + 8
    assert [artifact.path.exists() for artifact in artifacts] == [False, True, True]
    assert not orphan.path.parent.exists()
    manifest = store.manifest("portal", "us-101/zip")
    assert manifest is not None
    assert len(manifest.contents) == 3  # remembered, though its file is gone
    assert store.verify() == []


def test_a_failure_is_remembered_until_the_next_success(store: DownloadStore) -> None:
    def failure() -> FailedAttempt | None:
        manifest = store.manifest("portal", "us-101/zip")
        assert manifest is not None
        return manifest.failure

    error = NotFound("https://example.org/us-101.zip", 404)
    store.note_failure(ZIP, error, now=NOW)
    assert failure() == FailedAttempt(NOW, "NotFound", error.problem, error.fix)
    assert store.held("portal", "us-101/zip") is None
    assert store.resources("portal") == []  # never fetched

    committed(store, b"rows")
    assert failure() is None
    later = NOW + timedelta(hours=1)
    store.note_failure(ZIP, error, now=later)
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert held.checked_at == NOW  # failing is not finding nothing newer
    store.confirm(ZIP, now=later)
    assert failure() is None


def test_a_failure_that_nobody_minds_is_forgotten(store: DownloadStore) -> None:
    never_had = Resource("portal", "other", "https://example.org/other")
    committed(store, b"rows")
    for resource in (ZIP, never_had):
        store.note_failure(resource, NotFound(resource.url, 404), now=datetime.now(UTC))
    store.sweep()
    assert [manifest.failure is None for manifest in store.all_manifests()] == [False, False]
    store.sweep(untouched_for=-1)
    (left,) = store.all_manifests()
    assert (left.key, left.failure, len(left.contents)) == ("us-101/zip", None, 1)


def test_a_content_that_two_resources_share_stays_while_one_names_it(store: DownloadStore) -> None:
    other = Resource("portal", "other", "https://example.org/other")
    shared = committed(store, b"shared")
    committed(store, b"shared", resource=other)
    for version in (b"2", b"3"):
        committed(store, version)
    assert store.sweep(keep=1, unnamed_for=-1).paths != ()
    assert shared.path.read_bytes() == b"shared"


def test_sweeping_removes_what_nobody_goes_on_with_but_not_what_is_under_way(
    store: DownloadStore,
) -> None:
    for key in ("left", "held"):
        place = store.workplace(Resource("portal", key, "https://example.org"))
        assert place is not None
        (place.work("1") / "page").write_bytes(b"x" * 10_000)
        if key == "left":
            place.leave()
    assert store.sweep().paths == ()
    (gone,) = store.sweep(untouched_for=-1).paths
    assert gone.name.startswith("portal.left.")
    assert (place.work("1") / "page").exists()
    place.leave()


def test_a_place_is_for_one_at_a_time_and_of_one_version(store: DownloadStore) -> None:
    place = store.workplace(ZIP)
    assert place is not None
    assert store.workplace(ZIP) is None
    (place.work("1") / "page").write_text("of version 1")
    place.leave()
    place = store.workplace(ZIP)
    assert place is not None
    with place:
        assert (place.work("1") / "page").read_text() == "of version 1"
        assert list(place.work("2").iterdir()) == []
        assert list(place.work("1").iterdir()) == []
        place.clear()
        again = store.workplace(ZIP)  # its folder is new, and not cleared a second time
        assert again is not None
        again.work("3")
        place.clear()
        assert again.folder.exists()
        again.leave()
    with store.workplace(ZIP) or pytest.fail("taken") as place:
        assert place.work("3").exists()
        place.clear()
    assert list((store.root / "parts").iterdir()) == []


def test_damaged_files_are_set_aside_so_that_they_come_again(store: DownloadStore) -> None:
    artifact = committed(store, b"rows")
    artifact.path.chmod(0o644)
    artifact.path.write_bytes(b"rots")
    assert store.held("portal", "us-101/zip") is not None  # sizes do not tell
    (damaged,) = store.verify(set_aside=True)
    assert damaged.found == hashlib.sha256(b"rots").hexdigest()
    assert store.held("portal", "us-101/zip") is None
    assert store.verify() == []


KEYS = st.sampled_from(["a", "a/b", "c"])
CONTENTS = st.binary(max_size=3)


@settings(max_examples=10)
@given(st.lists(st.tuples(KEYS, st.sampled_from(["x", "y"]), CONTENTS), min_size=1, max_size=6))
def test_committing_again_changes_nothing(steps: list[tuple[str, str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DownloadStore(Path(folder) / "downloads")
        last: dict[str, bytes] = {}
        for key, name, content in steps:
            resource = Resource("s", key, "https://example.org")
            for _ in range(2):
                artifact = kept(store, content, name=name, resource=resource)
                store.commit(resource, Description(version="1"), [artifact], now=NOW)
                seen = _tree(store.root)
            assert _tree(store.root) == seen
            last[key] = content
        for key, content in last.items():
            held = store.held("s", key)
            assert held is not None
            assert [copy.path.read_bytes() for copy in held.artifacts] == [content]
        assert store.verify() == []
        assert {path.name for path in store.objects.iterdir()} == {
            hashlib.sha256(content).hexdigest() for _, _, content in steps
        }
        store.sweep(keep=1, unnamed_for=-1)
        assert {path.name for path in store.objects.iterdir()} == {
            hashlib.sha256(content).hexdigest() for content in last.values()
        }


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


WRITER = """
import itertools, sys
from pathlib import Path
from ngsim_assets_tests.acquisition.test_store import committed
from ngsim_assets.acquisition.store import DownloadStore
store = DownloadStore(Path(sys.argv[1]))
print("begun", flush=True)
for number in itertools.count():
    committed(DownloadStore(store.root), b"%d" % (number % 7) * 200_000, str(number))
"""


def test_whenever_a_writer_is_killed_all_that_is_named_is_whole(store: DownloadStore) -> None:
    store.root.mkdir(parents=True)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.root)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer:
        assert writer.stdout.readline() == "begun\n"
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while not (manifest := store.manifest("portal", "us-101/zip")) or (
            len(manifest.contents) < 5 and datetime.now(UTC) < deadline
        ):
            held = store.held("portal", "us-101/zip")  # whenever it is looked at
            assert manifest is None or (held is not None and held.current)
        os.kill(writer.pid, signal.SIGKILL)
    assert store.verify() == []
    held = store.held("portal", "us-101/zip")
    assert held is not None
    assert held.artifacts[0].bytes == 200_000
    store.sweep(keep=1, unnamed_for=-1)
    assert len(list(store.objects.iterdir())) == 1
