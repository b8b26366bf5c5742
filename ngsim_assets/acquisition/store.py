"""Where downloads are kept: files by their content, a manifest per resource.

Belongs here: what lies in the folder of downloads, and who may change it when. Does not belong
here: requests, what is under way (workplaces.py), what a manifest says (manifests.py).

    <root>/objects/<sha256>/<name>         complete, checked, read-only; the name is for people
    <root>/manifests/<source>/<key>.json   what a resource was, newest first
    <root>/parts/                          what is under way

A file is on the disk before it gets its name under `objects`, and has it before a manifest names
it. So whatever is named is whole, whenever a process is killed. A file that nobody names is
removed by `sweep` once it is a day old: who keeps it may be about to name it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from ngsim_assets.acquisition.errors import DamagedRecord, NotInStore, UnusableName
from ngsim_assets.acquisition.manifests import (
    FailedAttempt,
    KeptContent,
    KeptFile,
    Manifest,
    kept_file,
    new_manifest,
    read_manifest,
    written_manifest,
)
from ngsim_assets.acquisition.objects import (
    DamagedObject,
    Stored,
    damage_of,
    hash_of,
    is_in_place,
    require_file_name,
)
from ngsim_assets.acquisition.sources import Artifact, Description, Resource
from ngsim_assets.acquisition.workplaces import Workplace, Workplaces
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import (
    make_folder,
    sweep_temporaries,
    sync_file,
    sync_folder,
    write_atomically,
)
from ngsim_assets.storage.errors import writing

KEPT_CONTENTS = 2
"""Contents of a resource whose files `sweep` leaves, the newest included."""

UNNAMED_SECONDS = 86_400.0
UNTOUCHED_SECONDS = 30 * 86_400.0

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_OBJECT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Held:
    """The newest content of a resource of which every file is there, in its size.

    Attributes:
        version: as it was described. current: nothing newer was ever seen. checked_at: when its
            publisher was last found to have nothing newer.
    """

    version: str
    artifacts: tuple[Artifact, ...]
    fetched_at: datetime
    checked_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class Swept:
    """What `sweep` removed."""

    paths: tuple[Path, ...]
    bytes: int


class DownloadStore:
    """The folder of downloads at `root`, safe with several processes; opening creates nothing.

    Raises DiskFull and ReadOnlyLake where nothing can be written, DamagedRecord where a manifest
    cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "objects"
        self.manifests = root / "manifests"
        self.breakers = root / "breakers"
        self._workplaces = Workplaces(root / "parts")

    # files ------------------------------------------------------------------------------------

    def keep(self, path: Path, name: str, *, sha256: str = "") -> Stored:
        """Move the file at `path` into its place; the same content again changes nothing.

        Args:
            name: for people. sha256: of its bytes, which are on the disk already; empty: they
                are hashed and put there.
        """
        require_file_name(name)
        with writing(self.root):
            if not sha256:
                sync_file(path)
                sha256 = hash_of(path)
            place = self.objects / sha256 / name
            with self._locked(fcntl.LOCK_SH):
                make_folder(place.parent)
                moved = self._near(path)
                moved.chmod(0o444)
                size = moved.stat().st_size
                # over an earlier copy, which may have been damaged since; this one is known
                moved.replace(place)
                self._share(place)
                os.utime(place.parent)
                sync_folder(place.parent)
        return Stored(place, sha256, size)

    def _near(self, path: Path) -> Path:
        """`path`, or a copy of it where it lies in another file system."""
        if path.stat().st_dev == self.objects.stat().st_dev:
            return path
        near = self.objects / f".{uuid4().hex}.tmp"
        shutil.copyfile(path, near)
        sync_file(near)
        path.unlink()
        return near

    def _share(self, place: Path) -> None:
        """Have other names of the same content share its bytes."""
        for other in place.parent.iterdir():
            if other.name.startswith(".") or other.samefile(place):
                continue
            link = place.parent / f".{other.name}.{uuid4().hex}.tmp"
            with suppress(OSError):  # a file system without links: it lies there twice
                os.link(place, link)
                link.replace(other)

    # what is remembered -----------------------------------------------------------------------

    def manifest(self, source: str, key: str) -> Manifest | None:
        """All that is remembered of a resource, None if nothing is."""
        return read_manifest(self.manifest_path(source, key))

    def manifest_path(self, source: str, key: str) -> Path:
        """Where that lies; UnusableName if there is no such place."""
        *folders, last = (source, *key.split("/"))
        for part in (*folders, last):
            if not _SEGMENT.fullmatch(part):
                raise UnusableName(f"{source} {key}", f"{part[:100]!r} is no name of a folder")
        if any(part.endswith(".json") for part in folders):
            raise UnusableName(f"{source} {key}", "a part before the last ends in .json")
        return self.manifests.joinpath(*folders, f"{last}.json")

    def held(self, source: str, key: str) -> Held | None:
        """What there is of a resource: looked at by name and size, nothing is read."""
        manifest = self.manifest(source, key)
        return None if manifest is None else self.held_of(manifest)

    def held_of(self, manifest: Manifest) -> Held | None:
        """What there is of what `manifest` names."""
        for content in manifest.contents:
            artifacts = tuple(self._artifact(manifest, content, file) for file in content.files)
            if artifacts and all(map(is_in_place, artifacts)):
                return Held(
                    content.version,
                    artifacts,
                    content.fetched_at,
                    manifest.checked_at,
                    current=content is manifest.contents[0],
                )
        return None

    def resources(self, source: str) -> list[Resource]:
        """What was ever fetched of `source`, by key; what cannot be read is left out."""
        found: list[Resource] = []
        for path in sorted((self.manifests / source).rglob("*.json")):
            with suppress(DamagedRecord):
                manifest = read_manifest(path)
                if manifest is not None and manifest.contents:
                    found.append(manifest.resource)
        return found

    def all_manifests(self) -> Iterator[Manifest]:
        """Every manifest, by source and key."""
        for path in sorted(self.manifests.rglob("*.json")):
            manifest = read_manifest(path)
            if manifest is not None:
                yield manifest

    def commit(
        self,
        resource: Resource,
        description: Description,
        artifacts: Sequence[Artifact],
        *,
        now: datetime,
    ) -> None:
        """Remember that `artifacts` are all of `resource`, as described.

        A manifest that cannot be read is put aside under its name and `.unreadable`.

        Raises:
            NotInStore: a file is not where its content belongs.
        """
        for artifact in artifacts:
            place = self.objects / artifact.sha256 / artifact.name
            if artifact.path != place or not is_in_place(artifact):
                raise NotInStore(artifact.name, artifact.path)
        path = self.manifest_path(resource.source, resource.key)
        with writing(path), self._locked(fcntl.LOCK_EX):
            manifest = self._readable(resource)
            if manifest is None and path.exists():
                path.replace(path.with_name(f"{path.name}.unreadable"))
            manifest = manifest or new_manifest(resource, now)
            content = KeptContent(
                version=description.version,
                fetched_at=now,
                files=tuple(kept_file(artifact) for artifact in artifacts),
                rows=description.rows,
                schema_version=manifest.schema_change(description.columns).number,
            )
            manifest = replace(
                manifest,
                url=resource.url,
                labels=dict(resource.labels),
                checked_at=now,
                failure=None,
            ).with_content(content, description.columns)
            write_atomically(path, written_manifest(manifest))

    def confirm(self, resource: Resource, *, now: datetime) -> None:
        """Remember that the publisher had nothing newer."""
        path = self.manifest_path(resource.source, resource.key)
        with writing(path), self._locked(fcntl.LOCK_EX):
            manifest = read_manifest(path)
            if manifest is not None:
                manifest = replace(manifest, checked_at=now, failure=None)
                write_atomically(path, written_manifest(manifest))

    def note_failure(self, resource: Resource, error: NgsimAssetsError, *, now: datetime) -> None:
        """Remember until the next success that `resource` could not be had, and why."""
        path = self.manifest_path(resource.source, resource.key)
        with writing(path), self._locked(fcntl.LOCK_EX):
            manifest = read_manifest(path) or new_manifest(resource, now)
            failure = FailedAttempt(now, type(error).__name__, error.problem, error.fix)
            write_atomically(path, written_manifest(replace(manifest, failure=failure)))

    def _readable(self, resource: Resource) -> Manifest | None:
        try:
            return self.manifest(resource.source, resource.key)
        except DamagedRecord:
            return None

    def _artifact(self, manifest: Manifest, content: KeptContent, file: KeptFile) -> Artifact:
        return Artifact(
            resource=manifest.resource,
            name=file.name,
            path=self.objects / file.sha256 / file.name,
            sha256=file.sha256,
            bytes=file.bytes,
            url=file.url,
            fetched_at=file.fetched_at,
            rows=file.rows,
            headers=file.headers,
            version=content.version,
            schema_version=content.schema_version,
        )

    # what is under way ------------------------------------------------------------------------

    def workplace(self, resource: Resource) -> Workplace | None:
        """The place to fetch `resource` in, for one process at a time; None if it is taken."""
        self.manifest_path(resource.source, resource.key)
        return self._workplaces.take(resource.source, resource.key)

    # upkeep -----------------------------------------------------------------------------------

    def verify(self, *, set_aside: bool = False) -> list[DamagedObject]:
        """Read and hash every kept file; those that are not what they were.

        Args:
            set_aside: move them to `damaged/`, so that the next download fetches them again.
        """
        damaged = [found for path in self.files() if (found := damage_of(path)) is not None]
        if set_aside and damaged:
            with writing(self.root), self._locked(fcntl.LOCK_EX):
                for item in damaged:
                    aside = self.root / "damaged" / item.path.parent.name
                    make_folder(aside)
                    item.path.replace(aside / item.path.name)
                    sync_folder(item.path.parent)
        return damaged

    def sweep(
        self,
        *,
        keep: int = KEPT_CONTENTS,
        unnamed_for: float = UNNAMED_SECONDS,
        untouched_for: float = UNTOUCHED_SECONDS,
    ) -> Swept:
        """Remove files of older contents, files that nobody names, and what nobody goes on with.

        Args:
            keep: newest contents of each resource that are left. unnamed_for: seconds that a file
                may be unnamed. untouched_for: seconds that something under way may lie, and that a
                failure may be the last that was heard of a resource.

        Raises:
            DamagedRecord: a manifest cannot be read; what it names is not known, so nothing goes.
        """
        if not self.root.exists():
            return Swept((), 0)
        with writing(self.root), self._locked(fcntl.LOCK_EX):
            named = {
                (file.sha256, file.name)
                for manifest in self.all_manifests()
                for content in manifest.contents[: max(keep, 1)]
                for file in content.files
            }
            removed = [*self._workplaces.sweep(untouched_for)]
            self._forget_failures(untouched_for)
            named |= self._workplaces.named()
            before = time.time() - unnamed_for
            for path in self.files():
                old = path.parent.stat().st_mtime <= before
                if old and (path.parent.name, path.name) not in named:
                    freed = path.stat().st_size if path.stat().st_nlink == 1 else 0
                    path.unlink()
                    removed.append((path, freed))
            for folder in self.objects.iterdir():
                with suppress(OSError):  # not empty
                    folder.rmdir()
            for folder in (self.objects, self.manifests):
                sweep_temporaries(folder, older_than=unnamed_for)
        return Swept(tuple(path for path, _ in removed), sum(size for _, size in removed))

    def _forget_failures(self, untouched_for: float) -> None:
        """Of what nobody has tried to have for so many seconds."""
        for manifest in list(self.all_manifests()):
            failure = manifest.failure
            if failure is None or time.time() - failure.time.timestamp() < untouched_for:
                continue
            path = self.manifest_path(manifest.source, manifest.key)
            if manifest.contents:
                write_atomically(path, written_manifest(replace(manifest, failure=None)))
            else:
                path.unlink()

    def bytes_used(self) -> int:
        """Bytes that kept files and those under way take on the disk."""
        seen: dict[tuple[int, int], int] = {}
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):
                state = path.lstat()
                seen[state.st_dev, state.st_ino] = state.st_blocks * 512
        return sum(seen.values())

    def files(self) -> list[Path]:
        """Every kept file, sorted by content."""
        return sorted(
            path
            for folder in self.objects.glob("*")
            if _OBJECT.fullmatch(folder.name)
            for path in folder.iterdir()
            if not path.name.startswith(".")
        )

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        make_folder(self.objects)
        make_folder(self.manifests)
        with (self.root / ".lock").open("a+b") as lock:
            fcntl.flock(lock, kind)
            yield
