"""What can go wrong between a delivered file and the landing zone, each with what to do."""

from __future__ import annotations

from pathlib import Path

from ngsim_assets.errors import NgsimAssetsError


class AcquisitionError(NgsimAssetsError):
    """Base of everything that acquisition raises on purpose."""


class DamagedManifest(AcquisitionError):
    """A record of the landing zone that cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"cannot read {path}: {' '.join(reason.split())[:200]}",
            f"delete {path.parent} and take the file in again",
        )


class DamagedPart(AcquisitionError):
    """Rows of a delivered file that cannot be read back from the landing zone."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"cannot read {path}: {' '.join(reason.split())[:200]}",
            f"delete {path.parent} and take the file in again",
        )


class FileStillChanging(AcquisitionError):
    """A file that changed while it was being read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} changed while it was being read; nothing of it was taken in",
            "wait until it is complete, then run the same command again",
        )


class RowsUnaccounted(AcquisitionError):
    """A delivery whose parts do not add up to the rows that were read; nothing was kept."""

    def __init__(self, name: str, read: int, kept: int) -> None:
        self.name = name
        self.read = read
        self.kept = kept
        super().__init__(
            f"{name}: {read:,} rows were read but {kept:,} sorted into partitions",
            "this is a fault of the software: report it with the file",
        )


class NothingDelivered(AcquisitionError):
    """A partition of which the landing zone holds no file."""

    def __init__(self, partition: str, root: Path) -> None:
        self.partition = partition
        super().__init__(
            f"nothing has been delivered for {partition}",
            f"take its file in first (ngsim ingest FILE); {root} is where it was looked for",
        )


class AlreadyUnderWay(AcquisitionError):
    """A download that another process, or another task of this one, is at."""

    def __init__(self, folder: Path, holder: str) -> None:
        self.folder = folder
        self.holder = holder
        super().__init__(
            f"{folder} is being downloaded already ({holder or 'by whom is not known'})",
            "wait until that has ended, or end it; what it has so far is kept",
        )


class PartDisturbed(AcquisitionError):
    """Bytes of a download under way that are not there any more."""

    def __init__(self, path: Path, expected: int, found: int) -> None:
        self.path = path
        super().__init__(
            f"{path} has {found:,} bytes, {expected:,} had been written",
            "leave the folder to the program while it downloads, then run the same command again",
        )


class DamagedRecord(AcquisitionError):
    """A manifest of a download that cannot be read; what it named may still be there."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"cannot read {path}: {' '.join(reason.split())[:200]}",
            "download that resource again, or delete the file: it is written anew",
        )


class UnusableName(AcquisitionError):
    """A key or a file name that cannot be a name in the folder of downloads."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(
            f"{name[:200]!r} cannot be kept under its name: {reason}",
            "a source names its resources and files: letters, digits and . _ - (keys also /)",
        )


class NotInStore(AcquisitionError):
    """An artifact whose file is not where files of its content are kept."""

    def __init__(self, name: str, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{name}: {path} is not a file of the downloads of that size and content",
            "a source makes its artifacts with session.download and session.keep",
        )


class NothingFetched(AcquisitionError):
    """A resource of which a source made no file at all."""

    def __init__(self, source: str, key: str) -> None:
        super().__init__(
            f"{source} {key}: the source yielded no file",
            "a source that has nothing for a resource must not discover it",
        )


class TooManyResources(AcquisitionError):
    """A source that does not end telling what it has."""

    def __init__(self, source: str, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{source} offers more than {limit:,} resources; none was fetched",
            "this is a fault of the source: make fewer resources, of several files each",
        )


class DiscoveryTimedOut(AcquisitionError):
    """A source that did not tell in time what it has."""

    def __init__(self, source: str, seconds: float) -> None:
        super().__init__(
            f"{source} did not say within {seconds:g} s what it has",
            "run the same command again later; NGSIM_DEADLINE allows more",
        )


class SourceFault(AcquisitionError):
    """An error that a source did not mean to raise; its cause has the traceback."""

    def __init__(self, source: str, doing: str, error: BaseException) -> None:
        self.source = source
        said = " ".join(str(error).split())[:200]
        super().__init__(
            f"{source}: {doing} failed unexpectedly: {type(error).__name__}{said and ': ' + said}",
            "this is a fault of the source: --debug shows where",
        )
