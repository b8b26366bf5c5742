"""The JSON of car data and positions into columns of integers: the compiled part.

Belongs here: one pass over the bytes of many messages in exactly the form the feed has. Does not
belong here: any other form of the same content (tolerant.py reads those), what the numbers mean.

Why compiled: 300,000 rows a second have to be decoded and stored on two cores. The parsers that
make Python objects (json, orjson, msgspec) reach 0.2 to 0.33 million rows a second on one core
and polars' json_decode 0.4, before a row is stored; this one passes three million, and numba is
here already. A message with anything unforeseen is left to the tolerant reader as a whole, so
speed costs no tolerance. All of it stands in one file, because numba renews its cache when the
file of a function changes and not when that of a function it calls does.
"""

# ruff: noqa: PLR0911
# Compiled functions leave where they cannot go on, and comparisons compile to a test each.

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

ABSENT = np.int32(-(2**31))
"""Mark of a channel that a row does not have; no readable number has this value."""

STATUSES = ("OnTrack", "OffTrack")
"""Statuses of a position by their code."""

CHANNELS = (0, 2, 3, 4, 5, 45)
"""Channels of car data, in the order of the columns."""

UNFORESEEN = -1
"""Rows of a message that has not exactly the form of the feed."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Table = NDArray[np.int32]
"""A row per car, a column per value."""

_LARGEST = 2**30  # numbers beyond are left to the tolerant reader


def _literal(text: str) -> Bytes:
    return np.frombuffer(text.encode(), dtype=np.uint8)


_CAR_HEAD = _literal('{"Entries":[')
_CAR_UTC = _literal('{"Utc":"')
_CAR_CARS = _literal('","Cars":{')
_CAR_CHANNELS = _literal('":{"Channels":{')
_POSITION_HEAD = _literal('{"Position":[')
_POSITION_UTC = _literal('{"Timestamp":"')
_POSITION_CARS = _literal('","Entries":{')
_POSITION_STATUS = _literal('":{"Status":"O')
_ON = _literal('nTrack","X":')
_OFF = _literal('ffTrack","X":')
_Y = _literal(',"Y":')
_Z = _literal(',"Z":')

_QUOTE, _COMMA, _COLON, _MINUS, _ZERO, _POINT = 34, 44, 58, 45, 48, 46
_OPEN, _CLOSE, _END_LIST, _LETTER_Z, _LETTER_N = 123, 125, 93, 90, 110


@njit(cache=True, nogil=True)
def _skip(text: Bytes, at: int, end: int, literal: Bytes) -> int:
    """Position behind `literal`, -1 if it does not stand there."""
    if at < 0 or at + len(literal) > end:
        return -1
    for k in range(len(literal)):
        if text[at + k] != literal[k]:
            return -1
    return at + len(literal)


@njit(cache=True, nogil=True)
def _number(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """(number, position behind it), position -1 if there is no plain integer."""
    negative = at < end and text[at] == _MINUS
    if negative:
        at += 1
    first = at
    value = 0
    while at < end and _ZERO <= text[at] <= _ZERO + 9 and value < _LARGEST:
        value = value * 10 + (text[at] - _ZERO)
        at += 1
    if at == first or value >= _LARGEST or (at - first > 1 and text[first] == _ZERO):
        return 0, -1
    return (-value if negative else value), at


@njit(cache=True, nogil=True)
def _digits(text: Bytes, at: int, count: int) -> int:
    """Value of `count` digits, -1 if one is none."""
    value = 0
    for k in range(at, at + count):
        if not _ZERO <= text[k] <= _ZERO + 9:
            return -1
        value = value * 10 + (text[k] - _ZERO)
    return value


@njit(cache=True, nogil=True)
def _instant(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """(microseconds since 1970, position behind) of 2024-10-26T17:15:49.3337638Z, or (0, -1).

    What is finer than a microsecond is cut off.
    """
    if at < 0 or at + 20 > end or text[at + 4] != _MINUS or text[at + 7] != _MINUS:
        return 0, -1
    if text[at + 10] != 84 or text[at + 13] != _COLON or text[at + 16] != _COLON:
        return 0, -1
    year, month, day = _digits(text, at, 4), _digits(text, at + 5, 2), _digits(text, at + 8, 2)
    hour = _digits(text, at + 11, 2)
    minute, second = _digits(text, at + 14, 2), _digits(text, at + 17, 2)
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > 28 + (month != 2) * 2:
        return 0, -1  # the last days of months are rare enough for the tolerant reader
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return 0, -1
    shifted = year - (month <= 2)  # days from 1 March, so that a leap day comes last
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    micros = 0
    at += 19
    if text[at] == _POINT:
        at += 1
        weight = 100_000
        first = at
        while at < end and _ZERO <= text[at] <= _ZERO + 9:
            micros += (text[at] - _ZERO) * weight
            weight //= 10
            at += 1
        if at == first:
            return 0, -1
    if at >= end or text[at] != _LETTER_Z:
        return 0, -1
    seconds = (days * 24 + hour) * 3600 + minute * 60 + second
    return seconds * 1_000_000 + micros, at + 1


@njit(cache=True, nogil=True)
def _slot(channel: int) -> int:
    if channel == 0:
        return 0
    if 2 <= channel <= 5:
        return channel - 1
    return 5 if channel == 45 else -1


@njit(cache=True, nogil=True)
def _channels(text: Bytes, at: int, end: int, values: Table, row: int) -> int:
    """Channels of one car from behind their opening brace into `values[row]`."""
    for k in range(values.shape[1]):
        values[row, k] = ABSENT
    while True:
        if at >= end or text[at] != _QUOTE:
            return -1
        channel, at = _number(text, at + 1, end)
        slot = _slot(channel)
        if at < 0 or at + 1 >= end or text[at] != _QUOTE or text[at + 1] != _COLON or slot < 0:
            return -1
        if values[row, slot] != ABSENT:
            return -1
        values[row, slot], at = _number(text, at + 2, end)
        if at < 0 or at + 1 >= end:
            return -1
        if text[at] == _CLOSE and text[at + 1] == _CLOSE:
            return at + 2
        if text[at] != _COMMA:
            return -1
        at += 1


@njit(cache=True, nogil=True)
def _place(text: Bytes, at: int, end: int, values: Table, row: int) -> int:
    """Status and coordinates of one car from behind the O of its status into `values[row]`."""
    if at < 0 or at >= end:
        return -1
    if text[at] == _LETTER_N:
        values[row, 0] = 0
        at = _skip(text, at, end, _ON)
    else:
        values[row, 0] = 1
        at = _skip(text, at, end, _OFF)
    if at < 0:
        return -1
    values[row, 1], at = _number(text, at, end)
    at = _skip(text, at, end, _Y)
    if at < 0:
        return -1
    values[row, 2], at = _number(text, at, end)
    at = _skip(text, at, end, _Z)
    if at < 0:
        return -1
    values[row, 3], at = _number(text, at, end)
    if at < 0 or at >= end or text[at] != _CLOSE:
        return -1
    return at + 1


@njit(cache=True, nogil=True)
def _message(
    text: Bytes,
    at: int,
    end: int,
    positions: bool,
    row: int,
    entry: Ints,
    utc: Longs,
    car: Ints,
    values: Table,
) -> tuple[int, int]:
    """(rows, entries) of one message, written from `row` on; rows -1 if a form is unforeseen."""
    first = row
    entries = 0
    at = _skip(text, at, end, _POSITION_HEAD if positions else _CAR_HEAD)
    while True:
        at = _skip(text, at, end, _POSITION_UTC if positions else _CAR_UTC)
        instant, at = _instant(text, at, end)
        at = _skip(text, at, end, _POSITION_CARS if positions else _CAR_CARS)
        while True:
            if at < 0 or at >= end or text[at] != _QUOTE or row >= len(car):
                return UNFORESEEN, 0
            number, at = _number(text, at + 1, end)
            at = _skip(text, at, end, _POSITION_STATUS if positions else _CAR_CHANNELS)
            if at < 0 or number < 0:
                return UNFORESEEN, 0
            if positions:
                at = _place(text, at, end, values, row)
            else:
                at = _channels(text, at, end, values, row)
            if at < 0 or at + 3 >= end:
                return UNFORESEEN, 0
            entry[row], utc[row], car[row] = entries, instant, number
            row += 1
            if text[at] != _COMMA:
                break
            at += 1
        if text[at] != _CLOSE or text[at + 1] != _CLOSE:
            return UNFORESEEN, 0
        entries += 1
        at += 2
        if text[at] != _COMMA:
            break
        at += 1
    if at + 2 != end or text[at] != _END_LIST or text[at + 1] != _CLOSE:
        return UNFORESEEN, 0
    return row - first, entries


@njit(cache=True, nogil=True)
def scan(
    text: Bytes,
    ends: Longs,
    positions: bool,
    rows: Ints,
    entries: Ints,
    message: Ints,
    entry: Ints,
    utc: Longs,
    car: Ints,
    values: Table,
) -> int:
    """Read messages that lie one behind the other in `text`, and return how many rows they have.

    Args:
        text: bytes of all messages (uint8).
        ends: end of each message in `text` (int64).
        positions: whether they are positions, else car data.
        rows, entries: out, per message: how many it has; rows UNFORESEEN where it is left alone.
        message, entry, utc, car, values: out, per row: number of its message, number of its entry
            in it, microseconds since 1970, number of the car, channels in the order of CHANNELS
            or status code, X, Y, Z.
    """
    row = 0
    start = 0
    for k in range(len(ends)):
        found, counted = _message(text, start, ends[k], positions, row, entry, utc, car, values)
        rows[k], entries[k] = found, counted
        if found > 0:
            message[row : row + found] = k
            row += found
        start = ends[k]
    return row
