"""What can go wrong with what the portal publishes, each with what to do.

Belongs here: answers that are not what they should be, content that does not add up. Does not
belong here: failures of a transfer (acquisition/transfer/errors.py), of a file that is taken in
(highway/errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from ngsim_assets.acquisition.errors import AcquisitionError
from ngsim_assets.acquisition.transfer.errors import WrongHash
from ngsim_assets.errors import NgsimAssetsError

_AGAIN = "run the same command again; what was downloaded so far is kept"


class PortalError(AcquisitionError):
    """Base of what the portal answers in time and in full, and that is wrong all the same."""


class UnreadableAnswer(PortalError):
    """An answer of the portal that is not in the form its manual says."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"{url}: the answer is not as documented: {' '.join(reason.split())[:200]}",
            "check NGSIM_PORTAL; if the portal's form has changed, this is a fault of the software",
        )


class NoAttachment(PortalError):
    """The dataset has no archive of a site attached any more, or under another name."""

    def __init__(self, url: str, name: str, there: Sequence[str]) -> None:
        self.name = name
        self.there = tuple(there)
        found = ", ".join(self.there) or "none at all"
        super().__init__(
            f"{url}: no attachment {name}; there are {found}",
            "take another way: --way api or --way export",
        )


class TruncatedAnswer(PortalError):
    """As many rows as were asked for at most: the rest is missing, and the portal does not say."""

    def __init__(self, url: str, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit
        super().__init__(
            f"{url}: {what} reached the limit of {limit:,} rows, so there are more than were"
            " counted; nothing of it was kept",
            f"{_AGAIN}, or narrow the query by --where",
        )


class RowsMissing(PortalError):
    """Other rows in number than the portal counts itself."""

    def __init__(self, url: str, what: str, found: int, counted: int) -> None:
        self.what = what
        self.found = found
        self.counted = counted
        super().__init__(
            f"{url}: {what} has {found:,} rows where the portal counts {counted:,}; nothing of it"
            " was kept",
            _AGAIN,
        )


class TableKeepsChanging(PortalError):
    """Rows were updated while they were fetched, every time."""

    def __init__(self, url: str, times: int) -> None:
        self.times = times
        super().__init__(
            f"{url}: the table was updated during each of {times} attempts to fetch it",
            "wait until its publisher is done, then run the same command again",
        )


class OtherHeader(PortalError):
    """A part whose columns are not those of the others, or no columns of trajectories at all."""

    def __init__(self, url: str, what: str, found: str, expected: str) -> None:
        self.what = what
        super().__init__(
            f"{url}: {what} begins with {found[:120]!r} where {expected[:120]!r} is expected",
            _AGAIN,
        )


class UnusableArchive(PortalError):
    """A downloaded archive that is not opened, or holds no trajectories; its bytes are kept."""

    def __init__(self, name: str, error: NgsimAssetsError) -> None:
        self.name = name
        self.error = error
        super().__init__(f"{name} was downloaded, but {error.problem}", error.fix)


class NoRows(PortalError):
    """A selection that no row meets."""

    def __init__(self, url: str, condition: str) -> None:
        self.condition = condition
        super().__init__(
            f"{url}: no row meets {condition}", "check --where, and that NGSIM_PORTAL is right"
        )


class NotTheKnownArchive(WrongHash):
    """The portal has another archive of a site than the one that is known; nothing was kept."""

    transient = False

    def __init__(self, url: str, name: str, expected: str, seen: str) -> None:
        super().__init__(url, "another", expected)
        self.name = name
        self.problem = f"{name} is not the one that is known (SHA-256 {expected}...): {seen}"
        self.fix = "if its publisher has replaced it, take it by --accept-new"
        self.args = (f"{self.problem} ({self.fix})",)
