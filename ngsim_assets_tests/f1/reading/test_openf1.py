"""Responses of OpenF1: a message a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.reading.openf1 import endpoint_of, read_file, read_response
from ngsim_assets.f1.reading.recordings import utc


def test_rows_become_messages_and_others_say_why() -> None:
    row = {"session_key": 9, "driver_number": 4, "date": "2026-06-12T15:00:02.934000+00:00"}
    body = json.dumps([row, {**row, "session_key": 8}, "row", {}, row, {"session_key": 9}])
    reading = read_response(body.encode(), "s", "pit", "file")
    assert [message.line for message in reading.messages] == [1, 6]
    assert reading.messages[0].topic == "openf1/pit"
    assert reading.messages[0].utc == utc("2026-06-12T15:00:02.934Z")
    assert json.loads(reading.messages[0].content) == row
    assert [item.reason for item in reading.aside] == [
        "other_session",
        "not_a_message",
        "empty_message",
        "duplicate",
    ]
    assert reading.account.complete


@pytest.mark.parametrize("body", [b"", b'{"detail":"No results"}', b'[{"a":1}', b"\xff"])
def test_a_response_that_is_no_array_is_no_feed(body: bytes) -> None:
    with pytest.raises(NotAFeed, match="is no Formula 1 feed"):
        read_response(body, "s", "laps", "https://host/v1/laps")


def test_an_unknown_endpoint_is_refused() -> None:
    with pytest.raises(NotAFeed, match="no endpoint"):
        read_response(b"[]", "s", "gossip", "file")
    assert endpoint_of("gossip.json") is None


def test_the_real_responses_are_read_without_a_loss(f1_data: Path) -> None:
    rows = 0
    for path in sorted(f1_data.glob("openf1/*.json")):
        endpoint = endpoint_of(path.name)
        assert endpoint is not None
        account = read_file(path, "2026-06-12_barcelona_practice-2", endpoint).account
        assert account.complete
        assert account.aside == {}
        assert account.messages == len(json.loads(path.read_text()))
        rows += account.messages
    assert rows == 2569
