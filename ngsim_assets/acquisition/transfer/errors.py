"""What can go wrong between a request and the last byte of its answer, each with what to do.

Belongs here: the failures of a transfer, whether another attempt may help, and how long to wait
before it. Does not belong here: how they are recognised (client.py, download.py), who tries again
(backoff.py).

Whether a failure is `transient` is a decision: what another attempt a little later may get over
is (a host that does not answer, a body cut short, a busy server); what it would meet again is not
(a certificate nobody trusts, a page where a file should be, a file that is not there).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ngsim_assets.acquisition.errors import AcquisitionError
from ngsim_assets.acquisition.transfer.responses import redacted

_LATER = "run the same command again later; what was downloaded so far is kept"


class TransferError(AcquisitionError):
    """Base of every failure of a transfer.

    Attributes:
        url: what was asked for, secrets redacted. transient: another attempt may get over it.
        retry_after: seconds until one is welcome, None if nothing is known.
        blames_host: counts against the host at its circuit breaker.
    """

    transient: bool = False
    blames_host: ClassVar[bool] = False

    def __init__(self, url: str, seen: str, fix: str, *, retry_after: float | None = None) -> None:
        self.url = redacted(url)
        self.retry_after = retry_after
        super().__init__(f"{self.url}: {seen}", fix)


class BadAddress(TransferError):
    """Not an address that can be asked for anything."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason, "give an http(s) address with a host and without a password")


class HostUnreachable(TransferError):
    """Name not known, connection refused, or closed before there was an answer."""

    transient = True
    blames_host = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            url,
            f"the host cannot be reached: {reason}",
            "check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), or run the same"
            " command again later",
        )


class UntrustedCertificate(TransferError):
    """The host does not prove that it is who it says; nothing was asked of it."""

    blames_host = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            url,
            f"the certificate of the host is not trusted: {reason}",
            "check that the address is right; where a proxy or a server of your own signs with an"
            " authority of its own, name its certificates in SSL_CERT_FILE",
        )


class ConnectTimedOut(TransferError):
    """The host did not accept a connection in time."""

    transient = True
    blames_host = True

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(
            url,
            f"no connection within {seconds:g} s",
            "check the network and the proxy settings, or allow more by NGSIM_CONNECT_TIMEOUT",
        )


class Stalled(TransferError):
    """No byte, or next to none, for too long."""

    transient = True
    blames_host = True

    def __init__(self, url: str, received: int, seconds: float) -> None:
        self.received = received
        super().__init__(
            url,
            f"{f'only {received:,} bytes' if received else 'nothing'} came in {seconds:g} s",
            f"{_LATER}; a slow line is given more time by NGSIM_STALL_TIMEOUT, NGSIM_STALL_BYTES",
        )


class UnreadableReply(TransferError):
    """What answered does not speak HTTP as it should."""

    transient = True
    blames_host = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, f"the answer is not HTTP: {reason}", "check the address and its port")


class BodyCutShort(TransferError):
    """The connection ended before the body did."""

    transient = True
    blames_host = True

    def __init__(self, url: str, received: int, expected: int | None, reason: str = "") -> None:
        self.received = received
        self.expected = expected
        of = "" if expected is None else f" of {expected:,}"
        super().__init__(
            url,
            f"the connection ended after {received:,}{of} bytes{reason and ': ' + reason}",
            _LATER,
        )


class BodyTooLong(TransferError):
    """More bytes than there may be; reading was stopped."""

    def __init__(self, url: str, limit: int, fix: str = "") -> None:
        self.limit = limit
        super().__init__(
            url,
            f"more than {limit:,} bytes, which is all there may be",
            fix or "check the address; a file that is really larger needs NGSIM_ARTIFACT_BYTES",
        )


class WrongLength(TransferError):
    """A file of another size than was announced."""

    transient = True

    def __init__(self, url: str, received: int, expected: int) -> None:
        self.received = received
        self.expected = expected
        super().__init__(
            url, f"{received:,} bytes came, {expected:,} were announced; none were kept", _LATER
        )


class WrongHash(TransferError):
    """A file of other bytes than were announced. Once is bad luck on the way: transient."""

    transient = True

    def __init__(self, url: str, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            url,
            f"its SHA-256 is {found}, {expected} was announced; nothing was kept",
            "if it happens again, ask the publisher whether the file was replaced",
        )


class NotTheFile(TransferError):
    """Something else than the file, sent as if it were the file: mostly a page for people."""

    def __init__(self, url: str, kind: str, wanted: str = "a file") -> None:
        self.kind = kind
        super().__init__(
            url,
            f"{kind} came where {wanted} was asked for",
            "open the address in a browser: it may want a login, or be down for maintenance",
        )


class UnreadableEncoding(TransferError):
    """A body that is compressed in a way that was not asked for, or that cannot be undone."""

    def __init__(self, url: str, encoding: str, reason: str = "it was not asked for") -> None:
        self.encoding = encoding
        super().__init__(
            url,
            f"the body is encoded as {encoding!r}: {reason}",
            "a proxy on the way may recode what it passes on; try without it",
        )


class NotWhatWasAsked(TransferError):
    """A body that does not hold what an answer of its kind does, such as JSON that is none."""

    transient = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason, _LATER)


class TooManyRedirects(TransferError):
    """Sent from address to address, or in a circle."""

    def __init__(self, url: str, hops: int) -> None:
        super().__init__(
            url,
            f"redirected more than {hops} times",
            "open the address in a browser",
        )


class UnsafeRedirect(TransferError):
    """Sent on to where nothing may be asked for: from https to http, or to another scheme."""

    def __init__(self, url: str, target: str) -> None:
        self.target = redacted(target)
        super().__init__(
            url,
            f"redirected to {self.target}, which is not followed",
            "if that address is right, give it directly",
        )


class UnexpectedStatus(TransferError):
    """A status that says neither that there is a body nor that there is none."""

    def __init__(self, url: str, status: int) -> None:
        self.status = status
        super().__init__(url, f"status {status} was not expected", "check the address")


class RefusedByStatus(TransferError):
    """Base of the failures that a status of 400 or more stands for.

    Attributes:
        status: HTTP status. said: the start of what the server wrote about it.
    """

    _meaning: ClassVar[str] = ""
    _fix: ClassVar[str] = ""

    def __init__(
        self, url: str, status: int, said: str = "", *, retry_after: float | None = None
    ) -> None:
        self.status = status
        self.said = said
        super().__init__(
            url,
            f"{self._meaning} (status {status}){said and ': ' + said}",
            self._fix,
            retry_after=retry_after,
        )


class NotFound(RefusedByStatus):
    """404 and 410."""

    _meaning = "there is no such thing"
    _fix = "check the address; the publisher may have moved the file"


class AccessRefused(RefusedByStatus):
    """401 and 403."""

    _meaning = "access is refused"
    _fix = "check the token (NGSIM_SODA_APP_TOKEN for the portal), or whether it is public at all"


class RequestRefused(RefusedByStatus):
    """Every other 4xx. 408 (too slow) and 425 (too early) may be asked again."""

    _meaning = "the request is refused"
    _fix = "what the server says about it tells what it wants"

    def __init__(
        self, url: str, status: int, said: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(url, status, said, retry_after=retry_after)
        self.transient = status in {408, 425}


class TooManyRequests(RefusedByStatus):
    """429."""

    transient = True
    blames_host = True
    _meaning = "the server wants fewer requests"
    _fix = "wait, or lower NGSIM_HOST_REQUESTS; a token of the portal allows more"


class ServerFailed(RefusedByStatus):
    """5xx; 501 and 505 say that the server never will."""

    blames_host = True
    _meaning = "the server failed"
    _fix = _LATER

    def __init__(
        self, url: str, status: int, said: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(url, status, said, retry_after=retry_after)
        self.transient = status not in {501, 505}


class ChangedMeanwhile(TransferError):
    """The file was replaced by another one while it was being fetched."""

    transient = True

    def __init__(self, url: str, before: str, now: str) -> None:
        super().__init__(url, f"changed while it was being fetched, from {before} to {now}", _LATER)


class DeadlineExceeded(TransferError):
    """Not done in the time it may take, attempts and waits included."""

    def __init__(self, url: str, seconds: float, last: str = "") -> None:
        super().__init__(
            url,
            f"not done within {seconds:g} s{last and '; last: ' + last}",
            f"{_LATER}; NGSIM_DEADLINE allows more",
        )


class HostLeftAlone(TransferError):
    """Not asked at all, since the host failed too often just now.

    Transient the first time; where the host also failed the probe that followed, it is down for
    longer than it is worth waiting for.
    """

    def __init__(
        self, url: str, host: str, *, retry_in: float, reason: str, worth_waiting: bool
    ) -> None:
        self.host = host
        super().__init__(
            url,
            f"{host} is left alone for another {retry_in:.0f} s: {reason}",
            f"{_LATER}; NGSIM_BREAKER_SECONDS says how long a failing host is left alone",
            retry_after=retry_in,
        )
        self.transient = worth_waiting


class AlreadyUnderWay(AcquisitionError):
    """A file that somebody else is downloading right now."""

    def __init__(self, folder: Path, holder: str) -> None:
        self.folder = folder
        self.holder = holder
        super().__init__(
            f"the download in {folder} is under way already{holder and ', by ' + holder}",
            "wait until it is done, or end that process; what it has by then is kept",
        )
