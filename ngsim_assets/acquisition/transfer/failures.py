"""What aiohttp raises and servers answer, as the failures of errors.py.

Belongs here: the translation. Does not belong here: when which exception is expected.

Texts of aiohttp's exceptions are not passed on: some hold what was sent, and with it secrets.
"""

from __future__ import annotations

import os
import ssl

import aiohttp

from ngsim_assets.acquisition.transfer.errors import (
    AccessRefused,
    BadAddress,
    BodyCutShort,
    ConnectTimedOut,
    HostUnreachable,
    NotFound,
    RefusedByStatus,
    RequestRefused,
    ServerFailed,
    Stalled,
    TooManyRequests,
    TransferError,
    UnexpectedStatus,
    UnreadableReply,
    UntrustedCertificate,
)
from ngsim_assets.acquisition.transfer.limits import Limits

_STATUSES: dict[int, type[RefusedByStatus]] = {
    401: AccessRefused,
    403: AccessRefused,
    404: NotFound,
    410: NotFound,
    429: TooManyRequests,
}


def of_status(status: int, url: str, said: str, retry_after: float | None) -> TransferError:
    """Why a reply of this status is none that was asked for."""
    if status < 400:
        return UnexpectedStatus(url, status)
    kind = _STATUSES.get(status, ServerFailed if status >= 500 else RequestRefused)
    return kind(url, status, said, retry_after=retry_after)


def before_the_reply(  # noqa: PLR0911 - one line per exception
    error: Exception, url: str, limits: Limits
) -> TransferError:
    """Why there is no reply."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return UntrustedCertificate(url, _why_untrusted(error.certificate_error))
        case aiohttp.ClientSSLError():
            return HostUnreachable(url, f"TLS failed, {_why(error)}")
        case aiohttp.ConnectionTimeoutError():
            return ConnectTimedOut(url, limits.connect_timeout)
        case TimeoutError():
            return Stalled(url, 0, limits.stall_timeout)
        case aiohttp.ClientConnectorDNSError():
            return HostUnreachable(url, "its name is not known")
        case aiohttp.ClientHttpProxyError():
            return HostUnreachable(url, f"the proxy refuses with status {error.status}")
        case aiohttp.ServerDisconnectedError():
            return HostUnreachable(url, "it closed the connection without an answer")
        case aiohttp.ClientProxyConnectionError():
            return HostUnreachable(url, f"the proxy cannot be reached, {_why(error)}")
        case aiohttp.ClientOSError():
            return HostUnreachable(url, _why(error))
        case aiohttp.InvalidURL():
            return BadAddress(url, "its host is no name and no number")
        case aiohttp.ClientResponseError():
            return UnreadableReply(url, "its head cannot be read")
        case _:
            return UnreadableReply(url, type(error).__name__)


def within_the_body(
    error: Exception, url: str, *, received: int, expected: int | None, limits: Limits
) -> TransferError:
    """Why a body is not complete."""
    match error:
        case TransferError():
            return error
        case TimeoutError():
            return Stalled(url, 0, limits.stall_timeout)
        case OSError():
            return BodyCutShort(url, received, expected, _why(error))
        case _:
            return BodyCutShort(url, received, expected)


def _why(error: OSError) -> str:
    """The operating system's word for it; one of several addresses that failed stands for all.

    What OpenSSL numbers is no number of the operating system: its 1 would read as EPERM.
    """
    inner = getattr(error, "os_error", None)
    if isinstance(inner, ssl.SSLError):
        return (inner.reason or "").replace("_", " ").lower() or "no reason is known"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno)
    return "no reason is known"


def _why_untrusted(error: Exception) -> str:
    return str(getattr(error, "verify_message", "")) or type(error).__name__
