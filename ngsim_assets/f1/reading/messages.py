"""The one form in which every feed is handed on, and the account of what was not.

Belongs here: what a message is, what a line that is no message is, and the count of both. Does
not belong here: any format of any feed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ngsim_assets.f1.formats import COMPRESSED, Json

Reason = Literal[
    "cut_short",
    "damaged_compression",
    "damaged_json",
    "duplicate",
    "empty_message",
    "not_a_message",
    "not_text",
    "no_time",
    "other_session",
    "out_of_order",
    "too_large",
    "unfoldable",
    "unknown_topic",
]
MEANINGS: Final[Mapping[Reason, str]] = {
    "cut_short": "the last line of a file, without an end",
    "damaged_compression": "a compressed topic whose base64 or deflate is broken",
    "damaged_json": "content that is neither JSON nor a Python literal that JSON could say too",
    "duplicate": "topic, time and content of a message that came before",
    "empty_message": "a sign of life without content",
    "not_a_message": "readable, and of no form that any feed has",
    "not_text": "bytes that are no UTF-8",
    "no_time": "a message without a time where the feed always has one, or with one that none has",
    "other_session": "a row, or what a recording goes on with, of another session",
    "out_of_order": "a change older than one of its topic that was already handed on",
    "too_large": "a line, or what it inflates to, over the limit",
    "unfoldable": "a change that does not fit what it is to change",
    "unknown_topic": "a topic that formats.py does not list",
}
"""Why a line is no message, for people."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one topic.

    Attributes:
        session: session key.
        topic: as delivered, `CarData.z`; `openf1/<endpoint>` of a REST response.
        session_time: milliseconds since the start of the feed, None where the feed has UTC.
        utc: when it was sent, None where the feed has session time.
        payload: what it says; not to be changed, others read the same. Of a compressed topic
            its inflated JSON as text, which telemetry/ reads.
        content: the message as it was delivered.
        file, line: where it stands, counted from 1.
        snapshot: whether it is the whole state of its topic and no change of it.
        part: its place in its line, from 0; only frames of the hub hold several.
    """

    session: str
    topic: str
    session_time: int | None
    utc: datetime | None
    payload: Json
    content: str
    file: str
    line: int
    snapshot: bool = False
    part: int = 0

    @property
    def feed(self) -> str:
        """Name of the topic without the ending of compressed ones: `CarData`."""
        return self.topic.removesuffix(COMPRESSED)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A line, or a part of one, that is no message, and why.

    Attributes:
        detail: what exactly is wrong, for people.
        topic: of the message it would have been, empty if that cannot be told.
        content: the line as delivered; bytes that are no text are written as escapes, and of a
            line that is too long there is the beginning only.
    """

    session: str
    reason: Reason
    detail: str
    topic: str
    content: str
    file: str
    line: int


Item = Message | SetAside


def set_aside(message: Message, reason: Reason, detail: str) -> SetAside:
    """A message that cannot be used, and why."""
    return SetAside(
        message.session, reason, detail, message.topic, message.content, message.file, message.line
    )


@dataclass(slots=True)
class Reading:
    """What became of the lines of a feed.

    Attributes:
        lines: lines, or elements of a response, that were read; empty lines are none.
    """

    lines: int = 0
    messages: list[Message] = field(default_factory=list[Message])
    aside: list[SetAside] = field(default_factory=list[SetAside])

    def take(self, items: Iterable[Item]) -> None:
        """Add what one line became."""
        self.lines += 1
        for item in items:
            if isinstance(item, Message):
                self.messages.append(item)
            else:
                self.aside.append(item)

    def extend(self, other: Reading) -> None:
        """Add what another part of the same session became."""
        self.lines += other.lines
        self.messages += other.messages
        self.aside += other.aside

    @property
    def account(self) -> Account:
        """How many lines there were and what each became."""
        items: list[Item] = [*self.messages, *self.aside]
        return Account(
            lines=self.lines,
            lines_accounted=len({(item.file, item.line) for item in items}),
            messages=len(self.messages),
            topics=dict(sorted(Counter(message.topic for message in self.messages).items())),
            aside=dict(sorted(Counter(item.reason for item in self.aside).items())),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """The count of a reading.

    Attributes:
        lines: lines read.
        lines_accounted: lines that a message or something set aside stems from.
        messages: messages handed on; a snapshot line holds several.
        topics: messages per topic.
        aside: what was set aside, per reason.
    """

    lines: int
    lines_accounted: int
    messages: int
    topics: dict[str, int]
    aside: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether every line became something."""
        return self.lines == self.lines_accounted
