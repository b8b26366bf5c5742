"""Lines of the archive: every one becomes a message or is set aside with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.f1.errors import FeedUnreadable
from ngsim_assets.f1.reading.compressed import deflate
from ngsim_assets.f1.reading.feed_lines import FeedReader, read_file, read_lines
from ngsim_assets.f1.reading.messages import Message, Reading

BOM = b"\xef\xbb\xbf"
STATUS = b'00:08:08.035{"Status":"2","Message":"Yellow"}\r\n'


def read(*lines: bytes, topic: str = "TrackStatus") -> Reading:
    return read_lines(lines, "s", topic, f"{topic}.jsonStream")


def reasons(reading: Reading) -> list[str]:
    return [item.reason for item in reading.aside]


def test_mark_line_ends_and_time_are_taken_off_and_the_rest_is_kept_as_it_is() -> None:
    reading = read(BOM + STATUS, b"\r\n", b'00:08:31.311{"Status":"4"}\r\n')
    first, second = reading.messages
    assert (first.session_time, first.payload) == (488_035, {"Status": "2", "Message": "Yellow"})
    assert (first.topic, first.file, first.line) == ("TrackStatus", "TrackStatus.jsonStream", 1)
    assert first.content == '{"Status":"2","Message":"Yellow"}'
    assert (second.line, second.utc) == (3, None)
    assert reading.account.complete
    assert reading.lines == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'00:08:31.311{"Status":"4"\r\n', "damaged_json"),
        (b'00:08:31.311{"Sta', "cut_short"),
        (b"00:08:3", "cut_short"),
        (b'00:08:31.311{"Sta\xff":1}\r\n', "not_text"),
        (b'{"Status":"4"}\r\n', "no_time"),
        (b'00:99:31.311{"Status":"4"}\r\n', "no_time"),
        (b"00:08:31.311{}\r\n", "empty_message"),
        (b'00:08:31.311"text"\r\n', "not_a_message"),
        (b"00:08:31.311" + b"[" * 100_000 + b"\r\n", "damaged_json"),
        (STATUS, "duplicate"),
        (b'00:08:08.034{"Status":"1"}\r\n', "out_of_order"),
    ],
)
def test_a_line_that_is_no_message_says_why(line: bytes, reason: str) -> None:
    reading = read(STATUS, line)
    assert reasons(reading) == [reason]
    assert len(reading.messages) == 1
    assert reading.account.complete
    assert reading.aside[0].content


def test_every_line_of_an_unknown_topic_is_set_aside() -> None:
    assert reasons(read(STATUS, STATUS, topic="Gossip")) == ["unknown_topic", "unknown_topic"]


def test_the_same_status_later_is_news() -> None:
    later = b'00:09:08.035{"Status":"2","Message":"Yellow"}\r\n'
    assert len(read(STATUS, later).messages) == 2


def test_compressed_topics_are_inflated_and_may_come_late() -> None:
    def line(second: int, content: bytes) -> bytes:
        return f'00:00:{second:02d}.000"{deflate(content)}"\r\n'.encode()

    reading = read(
        line(9, b'{"Entries":[{"Utc":"2025-05-04T19:00:09Z","Cars":{}}]}'),
        line(8, b'{"Entries":[]}'),
        line(10, b'{"Entries":[' + b"0," * 4_000_000 + b"0]}"),
        b'00:00:11.000"not base64!"\r\n',
        line(12, b'{"Entries":[]}')[:-20] + b'"\r\n',
        topic="CarData.z",
    )
    assert [message.line for message in reading.messages] == [1, 2]
    assert str(reading.messages[0].payload).startswith('{"Entries"')
    assert reasons(reading) == ["too_large", "damaged_compression", "damaged_compression"]


def test_lines_may_be_handed_over_as_they_arrive() -> None:
    reader = FeedReader("s", "TrackStatus", "f")
    items = [item for row in (1, 2) for item in reader.read(STATUS, row)]
    assert [type(item).__name__ for item in items] == ["Message", "SetAside"]


def test_a_line_without_an_end_in_sight_is_not_held_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ngsim_assets.f1.reading.feed_lines.LARGEST_LINE", 1_000)
    path = tmp_path / "TrackStatus.jsonStream"
    path.write_bytes(STATUS + b'00:08:31.311{"Status":"' + b"4" * 5_000 + b'"}\r\n')
    reading = read_file(path, "s")
    assert len(reading.messages) == 1
    assert reading.account.complete
    assert set(reasons(reading)) <= {"too_large", "no_time", "cut_short"}


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedUnreadable, match=r"absent\.jsonStream cannot be read"):
        read_file(tmp_path / "absent.jsonStream", "s")


@given(st.lists(st.binary(max_size=60)))
def test_whatever_the_bytes_every_line_is_accounted_for(parts: list[bytes]) -> None:
    lines = (b"\n".join(parts)).splitlines(keepends=True)
    reading = read(*lines)
    assert reading.account.complete
    assert all(isinstance(message, Message) for message in reading.messages)
