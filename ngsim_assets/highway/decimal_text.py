"""Lines of decimal text into columns of unscaled integers: the compiled part of the reader.

Belongs here: one pass over bytes that finds lines, cells, numbers and names. Does not belong
here: what the columns mean, where the bytes come from, what becomes of unreadable lines.

One kernel serves blank-separated text and CSV alike, so a user pays for one compilation. It
holds no lock while it runs. Positions are unsigned so that indexing needs no sign test, and
characters are compared as unsigned numbers so that "is a digit" is one comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

NARROW, WIDE, NAME, IGNORED = 0, 1, 2, 3
"""Kinds of a column: 32-bit number, 64-bit number, one of the known names, not wanted."""

NO_NAME = 255
"""Code of a name that is absent or unknown."""

NULL_NARROW = np.int32(-(2**31))
NULL_WIDE = np.int64(-(2**63))
"""Marks of an absent number; no readable number has these values."""

MAX_LINE = 16_384
"""Longest line, in bytes, that is looked into; NGSIM's have about 150."""

_U = np.uint64
_U0, _U1, _U2, _U3, _U10 = _U(0), _U(1), _U(2), _U(3), _U(10)
_LINE_FEED, _RETURN, _TAB, _BLANK, _QUOTE = _U(10), _U(13), _U(9), _U(32), _U(34)
_PLUS, _COMMA, _MINUS, _POINT, _DIGIT = _U(43), _U(44), _U(45), _U(46), _U(48)
_MAX_LINE = _U(MAX_LINE)
# 15 digits before the point and 3 after stay below 10^18, so no accumulation can overflow.
_FAST_DIGITS = _U(15)
_POWERS = np.array([10**i for i in range(19)], dtype=np.uint64)

_DOUBLE_DIGITS = 15

_READ, _ABSENT, _UNREADABLE = 0, 1, 2


@njit(cache=True, nogil=True, inline="always")
def _lower(c: Any) -> Any:
    return c | _BLANK if _U(65) <= c <= _U(90) else c


@njit(cache=True, nogil=True)
def _says_absent(text: Any, a: Any, b: Any) -> Any:
    """Whether a cell is empty or na, n/a, nan, null, none in any case."""
    size = b - a
    if size == _U0:
        return True
    if size > _U(4) or size < _U2:
        return False
    word = _U0
    for i in range(a, b):
        word = (word << _U(8)) | _lower(_U(text[i]))
    return (
        word == _U(0x6E61)  # na
        or word == _U(0x6E2F61)  # n/a
        or word == _U(0x6E616E)  # nan
        or word == _U(0x6E756C6C)  # null
        or word == _U(0x6E6F6E65)  # none
    )


@njit(cache=True, nogil=True)
def _number(text: Any, a: Any, b: Any, decimals: Any) -> Any:
    """Read [a, b) as a decimal number; (status, magnitude in last kept decimals, negative).

    Thousands separators divide groups of exactly three digits. Zeros past the kept decimals say
    nothing; other digits there would be lost, so the number is unreadable, except in the full
    expansion of a double (`1873344.9619999998`): a double holds 15 decimal digits of a
    measurement, and what follows the 15th is noise of an earlier program.
    """
    p = a
    negative = False
    if p < b and (text[p] == _MINUS or text[p] == _PLUS):
        negative = text[p] == _MINUS
        p += _U1
    value = _U0
    significant = 0
    digits = 0
    group = 0
    grouped = False
    while p < b:
        c = _U(text[p])
        d = c - _DIGIT
        if d < _U10:
            value = value * _U10 + d
            significant += value != _U0
            if significant > _DOUBLE_DIGITS:
                return _UNREADABLE, _U0, False
            digits += 1
            group += 1
        elif c == _COMMA:
            if group == 0 or group > 3 or (grouped and group != 3):
                return _UNREADABLE, _U0, False
            grouped = True
            group = 0
        else:
            break
        p += _U1
    if grouped and group != 3:
        return _UNREADABLE, _U0, False
    places = 0
    zeros = 0
    if p < b and text[p] == _POINT:
        p += _U1
        while p < b:
            d = _U(text[p]) - _DIGIT
            if d >= _U10:
                return _UNREADABLE, _U0, False
            digits += 1
            zeros += 1
            if d != _U0:
                # zeros count only once another digit follows them
                if value != _U0:
                    significant += zeros
                else:
                    significant = 1
                places += zeros
                if significant > 18 or places > 18:
                    return _UNREADABLE, _U0, False
                value = value * _POWERS[zeros] + d
                zeros = 0
            p += _U1
    if p < b or digits == 0:
        return _UNREADABLE, _U0, False
    kept = np.int64(decimals)
    if places > kept and significant > _DOUBLE_DIGITS:
        noise = significant - _DOUBLE_DIGITS
        value = (value + _POWERS[noise] // _U2) // _POWERS[noise]
        places -= noise
        while places > kept and value % _U10 == _U0:
            value //= _U10
            places -= 1
    if places > kept:
        return _UNREADABLE, _U0, False
    return _READ, value * _POWERS[kept - places], negative


@njit(cache=True, nogil=True)
def _name(text: Any, a: Any, b: Any, names: Any, sizes: Any, codes: Any) -> Any:
    """Code of the name in [a, b), compared without case; NO_NAME if there is no such name."""
    size = b - a
    for i in range(sizes.size):
        if _U(sizes[i]) != size:
            continue
        same = True
        for j in range(size):
            if _lower(_U(text[a + j])) != _U(names[i, j]):
                same = False
                break
        if same:
            return codes[i]
    return np.uint8(NO_NAME)


@njit(cache=True, nogil=True)
def parse(
    text: Any,
    size: Any,
    cut: Any,
    separator: Any,
    kinds: Any,
    slots: Any,
    decimals: Any,
    largest: Any,
    names: Any,
    name_sizes: Any,
    name_codes: Any,
    narrow: Any,
    wide: Any,
    name: Any,
    nulls: Any,
    line: Any,
    bad: Any,
) -> Any:
    """Parse whole lines until the text or the room for rows ends.

    Args:
        text: uint8, ending with a line feed at `size - 1`.
        size: bytes of it to read (uint64).
        cut: whether the last line feed was added: the file ends inside a line.
        separator: the character between cells; a blank stands for runs of blanks and tabs.
        kinds, slots, decimals, largest: per column of the file; kind, row of `narrow` or
            `wide`, decimals kept, largest magnitude.
        names, name_sizes, name_codes: the known names in lower case, one a row.
        narrow, wide, name, line: outputs; int32 and int64 per slot and row, uint8, and the
            line of each row, counted from 1 at the start of `text`.
        nulls: per column of the file, how many absent cells; added to.
        bad: int64, three a row: row, begin, end of lines with something unreadable in them.

    Returns (rows, lines, bad rows, bytes read).

    A row with too few or too many cells is all null: no cell is known to stand under its own
    header. Only the last line of a file that ends inside it keeps the cells before the cut.
    """
    cells = _U(kinds.size)
    blanks = separator == _BLANK
    capacity = _U(line.size)
    p = _U0
    row = _U0
    lines = 0
    bads = 0
    while p < size and row < capacity:
        first = p
        lines += 1
        while text[p] == _BLANK or text[p] == _TAB or text[p] == _RETURN:
            p += _U1
        if text[p] == _LINE_FEED:
            p += _U1
            continue
        unreadable = False
        column = _U0
        ended = False
        while column < cells:
            # p is at the first character of a cell, blanks before it skipped
            begin = p
            kind = kinds[column]
            status = _UNREADABLE
            fast = False
            value = _U0
            negative = False
            if kind <= WIDE:
                # Nearly every cell is a plain number, "1,156" or nothing; all else goes below.
                quoted = text[p] == _QUOTE
                if quoted:
                    p += _U1
                negative = text[p] == _MINUS
                if negative:
                    p += _U1
                start = p
                d = _U(text[p]) - _DIGIT
                while d < _U10:
                    value = value * _U10 + d
                    p += _U1
                    d = _U(text[p]) - _DIGIT
                before = p - start
                plain = True
                if quoted:
                    plain = not blanks
                    grouped = False
                    while plain and text[p] == _COMMA:
                        plain = before - _U1 < _U3 or grouped
                        grouped = True
                        p += _U1
                        start = p
                        d = _U(text[p]) - _DIGIT
                        while d < _U10:
                            value = value * _U10 + d
                            p += _U1
                            d = _U(text[p]) - _DIGIT
                        plain = plain and p - start == _U3
                        before += _U3
                after = _U0
                if text[p] == _POINT:
                    p += _U1
                    start = p
                    d = _U(text[p]) - _DIGIT
                    while d < _U10:
                        value = value * _U10 + d
                        p += _U1
                        d = _U(text[p]) - _DIGIT
                    after = p - start
                if quoted:
                    plain = plain and text[p] == _QUOTE
                    if plain:
                        p += _U1
                c = _U(text[p])
                if (
                    c == separator
                    or c == _LINE_FEED
                    or (blanks and (c == _TAB or c == _RETURN))
                    or (c == _RETURN and text[p + _U1] == _LINE_FEED)
                ):
                    if plain and before - _U1 < _FAST_DIGITS and after <= decimals[column]:
                        value *= _POWERS[decimals[column] - after]
                        status = _READ
                        fast = True
                    elif p == begin:
                        status = _ABSENT
                        fast = True
            if not fast:
                # the cell by its ends: [a, b) is its content, p the character after it
                p = begin
                a = begin
                b = begin
                if blanks:
                    while text[p] > _BLANK or (
                        text[p] != _BLANK
                        and text[p] != _TAB
                        and text[p] != _RETURN
                        and text[p] != _LINE_FEED
                    ):
                        p += _U1
                    b = p
                else:
                    closed = True
                    if text[p] == _QUOTE:
                        p += _U1
                        a = p
                        while text[p] != _LINE_FEED:
                            if text[p] == _QUOTE:
                                if text[p + _U1] != _QUOTE:
                                    break
                                p += _U1
                            p += _U1
                        b = p
                        closed = text[p] == _QUOTE
                        if closed:
                            p += _U1
                        while text[p] == _BLANK or text[p] == _TAB or text[p] == _RETURN:
                            p += _U1
                        if text[p] != separator and text[p] != _LINE_FEED:
                            closed = False
                    while text[p] != separator and text[p] != _LINE_FEED:
                        p += _U1
                    if a == begin:
                        b = p
                    if not closed:
                        a = begin
                        b = p
                while b > a and (
                    text[b - _U1] == _BLANK or text[b - _U1] == _TAB or text[b - _U1] == _RETURN
                ):
                    b -= _U1
                while a < b and (text[a] == _BLANK or text[a] == _TAB):
                    a += _U1
                if kind == IGNORED:
                    status = _READ
                elif _says_absent(text, a, b):
                    status = _ABSENT
                elif kind == NAME:
                    code = _name(text, a, b, names, name_sizes, name_codes)
                    name[row] = code
                    if code != NO_NAME:
                        status = _READ
                else:
                    status, value, negative = _number(text, a, b, decimals[column])
            if kind <= WIDE:
                if status == _READ and value > largest[column]:
                    status = _UNREADABLE
                number = -np.int64(value) if negative else np.int64(value)
                if status != _READ:
                    number = NULL_WIDE
                    nulls[column] += 1
                if kind == NARROW:
                    narrow[slots[column], row] = (
                        NULL_NARROW if status != _READ else np.int32(number)
                    )
                else:
                    wide[slots[column], row] = number
            elif kind == NAME and status != _READ:
                name[row] = NO_NAME
                nulls[column] += 1
            if status == _UNREADABLE:
                unreadable = True
            column += _U1
            # p is at what ends the cell: on to the next one, or the end of the line
            if text[p] == separator and not blanks:
                p += _U1
                if column == cells:
                    break
                while text[p] == _BLANK or text[p] == _TAB or text[p] == _RETURN:
                    p += _U1
                continue
            while text[p] == _BLANK or text[p] == _TAB or text[p] == _RETURN:
                p += _U1
            if text[p] == _LINE_FEED:
                ended = True
                break
        end = p
        if not ended:
            while text[end] != _LINE_FEED:
                end += _U1
        p = end + _U1
        whole = ended and column == cells and end - first <= _MAX_LINE
        if not whole:
            unreadable = True
            keep = _U0
            if cut and ended and p == size and column > _U0 and end - first <= _MAX_LINE:
                keep = column - _U1
            for i in range(keep, cells):
                kind = kinds[i]
                if i < column:
                    # counted already if it was null
                    if kind == NARROW:
                        nulls[i] -= narrow[slots[i], row] == NULL_NARROW
                    elif kind == WIDE:
                        nulls[i] -= wide[slots[i], row] == NULL_WIDE
                    elif kind == NAME:
                        nulls[i] -= name[row] == NO_NAME
                nulls[i] += 1
                if kind == NARROW:
                    narrow[slots[i], row] = NULL_NARROW
                elif kind == WIDE:
                    wide[slots[i], row] = NULL_WIDE
                elif kind == NAME:
                    name[row] = NO_NAME
        if unreadable:
            bad[bads, 0] = row
            bad[bads, 1] = first
            bad[bads, 2] = end
            bads += 1
        line[row] = lines
        row += _U1
    return row, lines, bads, p
