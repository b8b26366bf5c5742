"""What the head of a response says, read strictly: a value that is not well formed is not there.

Belongs here: parsing of headers, of the first bytes of a body and of addresses, without any
input or output. Does not belong here: requests (client.py), what follows from a range or a
validator for a file (ranges.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yarl import URL

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; a server that asks for more than a day is taken to mean a day."""

_DIGITS = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_UNSATISFIED = re.compile(r"bytes \*/([0-9]{1,18})", re.IGNORECASE)
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\uffff]*")')
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body)\b")
_AHEAD_OF_HTML = ((b"<?xml", b"?>"), (b"<!--", b"-->"))
_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|signature|credential|cookie|^(proxy-)?auth|^(sig|key|code|app[-_]?id)$"
    r"|(api|app|access|account|private|subscription)[-_.]?(key|code)",
    re.IGNORECASE,
)
_REDACTED = "REDACTED"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """`Content-Range`: bytes `first` to `last`, both included, of `total`, None if not said."""

    first: int
    last: int
    total: int | None

    @property
    def length(self) -> int:
        """Bytes in the range."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class EntityTag:
    """`ETag`, quotes included. A weak one promises the same meaning, not the same bytes."""

    opaque: str
    weak: bool

    def __str__(self) -> str:
        return f"W/{self.opaque}" if self.weak else self.opaque


def content_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body as sent, encoded if it is; None if not said."""
    value = headers.get("Content-Length", "").strip()
    return int(value) if _DIGITS.fullmatch(value) else None


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """The one range that a 206 carries; None where there is none or it contradicts itself."""
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if first > last or (total is not None and last >= total):
        return None
    return ContentRange(first, last, total)


def whole_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole file according to a 416 (`bytes */1234`)."""
    found = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
    return None if found is None else int(found[1])


def entity_tag(headers: Mapping[str, str]) -> EntityTag | None:
    """The `ETag`, None if there is none or it is not well formed."""
    found = _TAG.fullmatch(headers.get("ETag", "").strip())
    return None if found is None else EntityTag(found[2], found[1] is not None)


def http_date(value: str) -> datetime | None:
    """A date of a header, in UTC; None if it is none."""
    try:
        moment = parsedate_to_datetime(value.strip())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    try:
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def resumable_by(headers: Mapping[str, str]) -> str | None:
    """What may go into `If-Range` to have more bytes of exactly this content; None: nothing.

    A strong entity tag, or else a `Last-Modified` that is strong: at least a second older than
    the response's `Date`, since within one second a file can change twice (RFC 9110, 8.8.2.2).
    A weak tag is no reason to do without the date.
    """
    tag = entity_tag(headers)
    if tag is not None and not tag.weak:
        return str(tag)
    said = headers.get("Last-Modified", "").strip()
    changed, now = http_date(said), http_date(headers.get("Date", ""))
    if changed is None or now is None or (now - changed).total_seconds() < 1:
        return None
    return said


def accepts_ranges(headers: Mapping[str, str]) -> bool | None:
    """`Accept-Ranges`: True for bytes, False for none, None where nothing of use is said."""
    units = {unit.strip().lower() for unit in headers.get("Accept-Ranges", "").split(",")}
    if "bytes" in units:
        return True
    return False if units == {"none"} else None


def content_kind(headers: Mapping[str, str]) -> str:
    """`Content-Type` without parameters, in lower case: `text/csv`; empty if not said."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def content_encoding(headers: Mapping[str, str]) -> str:
    """`Content-Encoding` in lower case; empty for a body that is sent as it is."""
    value = headers.get("Content-Encoding", "").strip().lower()
    return "" if value == "identity" else value


def looks_like_html(start: bytes) -> bool:
    """Whether a body that starts so is a page for people, whatever its headers call it."""
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for opening, closing in _AHEAD_OF_HTML:
        while text.startswith(opening) and closing in text:
            text = text.partition(closing)[2].lstrip()
    return _HTML.match(text) is not None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the server asks to wait, 0 for a moment in the past, a day at most.

    Args:
        now: UTC; what an HTTP-date is measured against if the response has no `Date` of its own.
            The server's clock is right about its own dates, however wrong it is.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", value):
        # as many digits as int() may refuse are surely more than a day
        return LONGEST_RETRY_AFTER if len(value) > 9 else min(float(value), LONGEST_RETRY_AFTER)
    moment = http_date(value)
    if moment is None:
        return None
    server_now = http_date(headers.get("Date", "")) or now
    return min(max((moment - server_now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def host_of(url: URL | str) -> str:
    """Host in lower case, and its port where it is not the scheme's own: `[::1]:8080`."""
    from yarl import URL

    return (URL(url) if isinstance(url, str) else url).host_port_subcomponent or ""


def is_secret(name: str) -> bool:
    """Whether a header or a part of a query of this name holds what not everybody may know."""
    return _SECRET_NAME.search(name) is not None


def redacted(url: URL | str) -> str:
    """`url` as it may be shown: without user, password, fragment and values of secret names."""
    from yarl import URL

    try:
        parsed = URL(url) if isinstance(url, str) else url
        query = [
            (name, _REDACTED if is_secret(name) else value) for name, value in parsed.query.items()
        ]
        shown = parsed.with_fragment(None)
        if parsed.host:
            shown = shown.with_user(None)
        return str(shown.with_query(query) if query else shown)
    except ValueError:
        return "an address that is none"
