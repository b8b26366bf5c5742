"""What can be wrong with a delivered file, each as a type that names file, place and fix.

`source` is the file as the user named it, with `!member` behind it for a part of an archive.
"""

from __future__ import annotations

from collections.abc import Sequence

from ngsim_assets.errors import NgsimAssetsError


class SourceError(NgsimAssetsError):
    """A whole file cannot be taken; the other files are not concerned.

    Attributes:
        source: file, or file!member.
        row: line it was noticed in, counted from 1 with the header, None if no line is to blame.
        reason: the problem without its place.
        column: header or canonical name of the column to blame, None if none is.
    """

    def __init__(
        self,
        source: str,
        problem: str,
        fix: str,
        *,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.source = source
        self.reason = problem
        self.row = row
        self.column = column
        place = source if row is None else f"{source}, row {row}"
        super().__init__(f"{place}: {problem}", fix)


class SourceUnreadable(SourceError):
    """The operating system does not hand the file over."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, f"cannot be read: {reason}", "check the path and its permissions")


class UnspeakableName(SourceError):
    """A name that is not text, which no table can hold as where its rows came from."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "the name is not valid UTF-8", "rename the file")


class ReaderFault(SourceError):
    """Something that the reader does not expect; `__cause__` says what."""

    def __init__(self, source: str, error: Exception) -> None:
        super().__init__(
            source,
            f"cannot be taken in: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "this is a fault of the software: report it with the file",
        )


class SourceIsDirectory(SourceError):
    """A directory where a file was expected."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "is a directory", "name the files inside it")


class EmptySource(SourceError):
    """No byte, or no row below the header."""

    def __init__(self, source: str, *, header: bool = False) -> None:
        problem = "has a header and no rows" if header else "is empty"
        super().__init__(source, problem, "download or export it again")


class NotNgsim(SourceError):
    """The content is something else; `found` says what."""

    def __init__(self, source: str, found: str, fix: str = "", *, row: int | None = None) -> None:
        self.found = found
        super().__init__(
            source,
            f"is not NGSIM trajectory data: {found}",
            fix or "hand over the text, CSV or export file of vehicle trajectories",
            row=row,
        )


class MetricReconstruction(SourceError):
    """The Montanino-Punzo reconstruction in the official I-80 archive: metres, no clock."""

    def __init__(self, source: str) -> None:
        super().__init__(
            source,
            "is the reconstruction of I-80 16:00 in metres and without clock, not a recording",
            "take trajectories-0400-0415 of the same archive",
        )


class WrongNumberOfColumns(SourceError):
    """No row has as many cells as its header, or as any published format."""

    def __init__(self, source: str, row: int, found: int, expected: str) -> None:
        self.found = found
        super().__init__(
            source,
            f"{found} columns where {expected} are expected",
            "keep the columns as published, or add a header that names them",
            row=row,
        )


class MissingFrameId(SourceError):
    """Without frames the recording of a row cannot be told: t0 = Global_Time - 100 Frame_ID."""

    def __init__(self, source: str) -> None:
        super().__init__(
            source,
            "has no Frame_ID, so it cannot be told which recording a row belongs to",
            "export it again with Frame_ID",
            column="frame_id",
        )


class MissingColumns(SourceError):
    """The header lacks columns no row is usable without; `unknown` are cells it has instead."""

    def __init__(
        self, source: str, missing: Sequence[str], row: int, unknown: Sequence[str] = ()
    ) -> None:
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)
        instead = f" and names {', '.join(unknown)}, which are not NGSIM's" if unknown else ""
        super().__init__(
            source,
            f"the header lacks {', '.join(missing)}{instead}",
            "export it again with these columns"
            + (", or give them these names if that is what they are" if unknown else ""),
            row=row,
            column=missing[0],
        )


class UnreadableColumn(SourceError):
    """A column no row is usable without holds numbers that the table has no room for."""

    def __init__(
        self,
        source: str,
        column: str,
        example: str,
        *,
        largest: int,
        decimals: int,
        row: int,
        rows: int,
    ) -> None:
        self.example = example
        kept = f"{decimals} decimals" if decimals else "whole numbers"
        super().__init__(
            source,
            f"{column} reads {example}, and none of the first {rows} rows can be read there: the "
            f"table keeps {kept} up to {largest // 10**decimals:,} and rounds nothing",
            "export it again with the numbers as published",
            row=row,
            column=column,
        )


class RepeatedColumn(SourceError):
    """Two header cells name the same column."""

    def __init__(self, source: str, first: str, second: str, column: str, row: int) -> None:
        super().__init__(
            source,
            f"the header names {column} twice: {first!r} and {second!r}",
            "remove or rename one of them",
            row=row,
            column=column,
        )


class RuinedClock(SourceError):
    """A spreadsheet rounded Global_Time to six digits; frames can no longer be placed."""

    def __init__(self, source: str, row: int, example: str, ruined: int, looked_at: int) -> None:
        self.ruined = ruined
        super().__init__(
            source,
            f"Global_Time reads {example} ({ruined} of the first {looked_at} rows): a spreadsheet "
            "rounded it and the time is lost",
            "take the file as downloaded, never saved by a spreadsheet",
            row=row,
            column="global_time",
        )


class CutAtExcelLimit(SourceError):
    """Exactly as many rows as a spreadsheet holds: the rest of the recording is missing."""

    def __init__(self, source: str, rows: int) -> None:
        self.rows = rows
        super().__init__(
            source,
            f"has exactly {rows:,} rows, the limit of a spreadsheet: the recording is cut there",
            "take the text file of the same period, or the file as downloaded",
            row=rows,
        )


class ArchiveError(SourceError):
    """An archive that is not opened, or not to the end."""


class CorruptArchive(ArchiveError):
    """Truncated or damaged compressed data."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, f"is truncated or damaged: {reason}", "download it again")


class ArchiveBomb(ArchiveError):
    """Far more content than its size can honestly hold, or than the limits allow."""

    def __init__(self, source: str, detail: str) -> None:
        super().__init__(
            source,
            f"refused as an archive bomb: {detail}",
            "unpack it yourself if you trust it, and hand over the data files",
        )


class UnsafeArchive(ArchiveError):
    """A member whose name leads outside the archive."""

    def __init__(self, source: str, member: str) -> None:
        self.member = member
        super().__init__(
            source,
            f"refused, its member {member!r} leads outside the archive (path traversal)",
            "get the archive from its publisher",
        )


class EncryptedArchive(ArchiveError):
    """A member that needs a password."""

    def __init__(self, source: str, member: str) -> None:
        self.member = member
        super().__init__(
            source, f"its member {member!r} is encrypted", "unpack it with its password"
        )


class NoDataInArchive(ArchiveError):
    """An archive without any trajectory data; `ignored` says why of each member."""

    def __init__(self, source: str, ignored: Sequence[tuple[str, str]]) -> None:
        self.ignored = tuple(ignored)
        shown = "; ".join(f"{name}: {reason}" for name, reason in self.ignored[:3])
        more = f"; and {len(self.ignored) - 3} more" if len(self.ignored) > 3 else ""
        super().__init__(
            source,
            "holds no NGSIM trajectory data" + (f" ({shown}{more})" if shown else ""),
            "hand over the archive or file with the vehicle trajectories",
        )


class UnknownSite(SourceError):
    """Neither the file nor its clock nor its coordinates tell which highway it shows."""

    def __init__(self, source: str) -> None:
        super().__init__(
            source,
            "does not tell which highway it shows: no Location, no official clock, no known "
            "coordinates",
            "name it: --highway us-101",
        )


class NoRecording(SourceError):
    """No row has a site, a frame and a time, so no row belongs to any recording."""

    def __init__(self, source: str) -> None:
        super().__init__(
            source,
            "no row has a known site and a readable frame and time",
            "check Location, Frame_ID and Global_Time, or name --highway and --recording",
        )


class TooManyRecordings(SourceError):
    """Frames that do not count from a common origin."""

    def __init__(self, source: str, highway_id: str, recordings: int) -> None:
        self.recordings = recordings
        super().__init__(
            source,
            f"its frames count from {recordings} different origins at {highway_id}: "
            "Global_Time and Frame_ID do not belong together",
            "if it is one recording, name it: --recording 2005-06-15T0750",
        )


class OtherFrameInterval(SourceError):
    """Frames that are not the site's 100 ms apart: one recording in steps of another length."""

    def __init__(self, source: str, highway_id: str, interval: int, expected: int) -> None:
        self.interval = interval
        super().__init__(
            source,
            f"by Global_Time its frames are {interval} ms apart; those of {highway_id} are "
            f"{expected} ms apart ({1000 // expected} Hz)",
            f"give each row the Frame_ID of its time, one per {expected} ms (rows may be missing "
            "in between), and interpolate rows that fall between two",
            column="frame_id",
        )


class UnusableClock(SourceError):
    """A frame origin outside the calendar."""

    def __init__(self, source: str, t0: int) -> None:
        self.t0 = t0
        super().__init__(
            source,
            f"its frames count from {t0}, which is no time",
            "if it is one recording, name it: --recording 2005-06-15T0750",
            column="global_time",
        )


class NoFilesInFolder(SourceError):
    """A folder without any file to take in."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "holds no files", "name a file, or a folder with files in it")


class BadPartitionKey(NgsimAssetsError):
    """A text that names no recording."""

    exit_code = 2

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(f"bad key {key!r}: {reason}", "write it like us-101|2005-06-15T0750")


class UnknownHighway(NgsimAssetsError):
    """A highway that sites.py does not describe."""

    exit_code = 2

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        super().__init__(f"no highway {name!r}", f"known are {', '.join(known)}")
