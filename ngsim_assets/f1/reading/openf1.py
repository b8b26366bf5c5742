"""Responses of OpenF1's REST interface: an array of rows of one endpoint.

A row becomes a message of the topic `openf1/<endpoint>`; its time is the row's own, where it has
one. Rows of other sessions than the one asked for are set aside.

Belongs here: taking a response apart. Does not belong here: asking for it, what rows mean.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ngsim_assets.f1.errors import FeedUnreadable, NotAFeed
from ngsim_assets.f1.formats import ENDPOINTS, OPENF1, Json, whole
from ngsim_assets.f1.reading.content import Unusable, read_json
from ngsim_assets.f1.reading.messages import Item, Message, Reading, Reason, SetAside
from ngsim_assets.f1.reading.order import Order
from ngsim_assets.f1.reading.recordings import utc

_TIMES = ("date", "date_start")
LARGEST_RESPONSE = 128 * 1024 * 1024
"""Bytes of a response that was kept; a real one has up to some 10 MB."""


def read_response(
    body: bytes, session: str, endpoint: str, file: str, *, session_key: int | None = None
) -> Reading:
    """What the rows of a response become, counted from 1.

    Args:
        endpoint: `laps`, `weather` and so on.
        file: address or file the response is from.
        session_key: OpenF1's number of the session; rows of another are set aside. By default
            the one of the first row.

    Raises:
        NotAFeed: the response is no array of JSON, or the endpoint is not known.
    """
    if endpoint not in ENDPOINTS:
        raise NotAFeed(file, f"OpenF1 has no endpoint {endpoint!r}")
    try:
        rows = read_json(body)
    except Unusable as why:
        raise NotAFeed(file, f"no whole JSON: {why.detail}") from None
    if not isinstance(rows, list):
        raise NotAFeed(file, f"a {type(rows).__name__} instead of an array of rows")
    reading = Reading()
    order = Order()
    for row, told in enumerate(rows, start=1):
        if session_key is None and isinstance(told, dict):
            session_key = whole(told.get("session_key"))
        reading.take([_item(told, row, session, endpoint, file, session_key, order)])
    return reading


def read_file(
    path: Path,
    session: str,
    endpoint: str,
    *,
    name: str | None = None,
    session_key: int | None = None,
) -> Reading:
    """As `read_response`, of a response that was kept; FeedUnreadable if it cannot be read."""
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_RESPONSE + 1)
    except OSError as error:
        raise FeedUnreadable(str(path), error.strerror or str(error)) from None
    if len(body) > LARGEST_RESPONSE:
        raise NotAFeed(str(path), f"more than {LARGEST_RESPONSE:,} bytes for one response")
    return read_response(body, session, endpoint, name or str(path), session_key=session_key)


def endpoint_of(name: str) -> str | None:
    """The endpoint a file name tells of, `spain_2026_practice_2_race_control.json`; or None."""
    stem = name.rsplit("/", 1)[-1].removesuffix(".json")
    found = [
        endpoint
        for endpoint in ENDPOINTS
        if re.search(rf"(^|[_-]){endpoint}($|[_-])", stem) is not None
    ]
    return max(found, key=len, default=None)


def _item(
    told: Json,
    row: int,
    session: str,
    endpoint: str,
    file: str,
    session_key: int | None,
    order: Order,
) -> Item:
    topic = f"{OPENF1}{endpoint}"
    content = json.dumps(told, ensure_ascii=False, separators=(",", ":"))

    def aside(reason: Reason, detail: str) -> SetAside:
        return SetAside(session, reason, detail, topic, content, file, row)

    if not isinstance(told, dict):
        return aside("not_a_message", f"is a {type(told).__name__}")
    if not told:
        return aside("empty_message", "says nothing")
    if whole(told.get("session_key")) != session_key:
        return aside("other_session", f"is of session {told.get('session_key')}")
    moment = next((utc(value) for name in _TIMES if isinstance(value := told.get(name), str)), None)
    wrong = order.judge(topic, moment.timestamp() if moment else None, content)
    if wrong is not None:
        return aside(wrong, "the same row again")
    return Message(session, topic, None, moment, told, content, file, row)
