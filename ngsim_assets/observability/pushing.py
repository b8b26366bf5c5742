"""The totals of all processes, handed to a Prometheus Pushgateway.

Belongs here: one push, and how long a gateway that does not answer is left alone. Does not belong
here: what is pushed (folding.py), when (keeping.py).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import folding

JOB = "ngsim"

_TIMEOUT = 3.0
"""Seconds that the work waits for a gateway."""

_PAUSE = 60.0
"""Seconds that a gateway which failed is left alone, lest every stage waits for it again."""

_LOCK = ".pushing.lock"
_FAILED = ".push-failed"


class PushFailed(NgsimAssetsError):
    """The gateway did not take the metrics."""

    def __init__(self, gateway: str, reason: str) -> None:
        super().__init__(
            f"the Pushgateway {_without_user(gateway)} did not take the metrics: {reason}",
            "start it or correct NGSIM_PUSHGATEWAY; the next push has what this one had",
        )


def push(gateway: str, folder: Path, *, timeout: float = _TIMEOUT, pause: float = _PAUSE) -> bool:
    """Put the totals in `folder` in place of what `gateway` has of this machine.

    Whether that was done; not where it failed less than `pause` seconds ago. Raises PushFailed.
    """
    if _failed_lately(folder, pause):
        return False
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            # later totals never before earlier ones
            with folding.locked(folder, _LOCK, timeout):
                _put(gateway, folder, timeout)
        except Exception as error:
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
            failure.append(error)

    # in a thread, since looking up a name knows no time-out, nor does a body that drips
    thread = threading.Thread(target=attempt, name="push-metrics", daemon=True)
    thread.start()
    thread.join(2 * timeout)
    if thread.is_alive() or failure:
        with suppress(OSError):
            (folder / _FAILED).touch()
        reason = str(failure[0]) if failure else f"no answer within {2 * timeout:g} s"
        raise PushFailed(gateway, reason) from (failure[0] if failure else None)
    return True


def _put(gateway: str, folder: Path, timeout: float) -> None:
    from prometheus_client import push_to_gateway
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(gateway)

    def handler(
        url: str,
        method: str,
        timeout: float | None,
        headers: list[tuple[str, str]],
        data: bytes,
    ) -> Callable[[], None]:
        if parts.username is None:
            return default_handler(url, method, timeout, headers, data)
        user, password = unquote(parts.username), unquote(parts.password or "")
        return basic_auth_handler(url, method, timeout, headers, data, user, password)

    push_to_gateway(
        _without_user(gateway),
        job=JOB,
        registry=folding.registry_of(folding.totals(folder)),
        grouping_key={"instance": socket.gethostname()},
        timeout=timeout,
        handler=handler,
    )


def _without_user(gateway: str) -> str:
    parts = urlsplit(gateway)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _failed_lately(folder: Path, pause: float) -> bool:
    with suppress(OSError):
        return abs(time.time() - (folder / _FAILED).stat().st_mtime) < pause
    return False
