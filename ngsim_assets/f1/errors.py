"""What can be wrong with a feed or a question about one, each as a type that names the fix.

A single bad line is never an error: it is set aside with a reason (reading/messages.py). These
are for what concerns a whole file, session or question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ngsim_assets.errors import NgsimAssetsError


class F1Error(NgsimAssetsError):
    """Base of the errors of this domain."""


class BadSessionKey(F1Error):
    """A text that names no session."""

    exit_code = 2

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(f"bad session key {key!r}: {reason}", "write it 2025-05-03_miami_sprint")


class UnknownCircuit(F1Error):
    """A circuit that circuits.py does not describe."""

    exit_code = 2

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        super().__init__(f"no circuit {name!r}", f"known are {', '.join(known)}")


class FeedUnreadable(F1Error):
    """A file of a feed that the operating system does not hand over."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        super().__init__(f"{source} cannot be read: {reason}", "check the path and its permissions")


class NotAFeed(F1Error):
    """A file whose content is none of the formats read here."""

    def __init__(self, source: str, found: str) -> None:
        self.source = source
        self.found = found
        super().__init__(
            f"{source} is no Formula 1 feed: {found}",
            "hand over a .jsonStream file, a SignalR recording or a response of OpenF1",
        )


class SessionUnknown(F1Error):
    """Messages that do not tell of which session they are."""

    def __init__(self, source: str, missing: str) -> None:
        self.source = source
        super().__init__(
            f"{source} does not tell its session: {missing}",
            "name it, for example 2025-05-03_miami_sprint",
        )


class SeveralSessions(F1Error):
    """Messages or rows of more than one session where one was expected."""

    def __init__(self, sessions: Sequence[str]) -> None:
        self.sessions = tuple(sessions)
        super().__init__(
            f"messages of {len(self.sessions)} sessions: {', '.join(self.sessions)}",
            "hand over each session by itself",
        )


class BadState(F1Error):
    """A saved state that does not fit the code that is to continue from it."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"the saved state of {what} cannot be used: {reason}",
            "remove it and read the session from its beginning",
        )


class NothingDeliveredOf(F1Error):
    """A session of which the store of downloads holds no file."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(
            f"nothing has been delivered of {session}",
            "fetch it (ngsim f1 historical) or take its files in first",
        )


class DeliveryGone(F1Error):
    """Files that were delivered and are not where they were kept."""

    def __init__(self, session: str, source: str, key: str) -> None:
        self.session = session
        super().__init__(
            f"files of {session} are missing in the store of downloads: {source} {key}",
            "fetch or take them in again; what is stored of the session stays as it is",
        )


class MessagesUnaccounted(F1Error):
    """Lines, messages or rows of which some became nothing, or more than one thing."""

    def __init__(self, what: str, given: int, accounted: int) -> None:
        self.given = given
        self.accounted = accounted
        super().__init__(
            f"of {given:,} {what} {accounted:,} are accounted for",
            "nothing more was stored; report it with the feed, it is a fault of the software",
        )


class NothingStoredOf(F1Error):
    """A session of which a table was asked for before it was written."""

    def __init__(self, session: str, table: str) -> None:
        self.session = session
        super().__init__(
            f"{table} holds nothing of {session}",
            "store it first, from what was delivered of it (ngsim f1 historical, or dropped files)",
        )


class ExportUnreadable(F1Error):
    """A file that is no exported table."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is no exported table: {' '.join(reason.split())[:200]}",
            "export the table again: ngsim f1 export",
        )
