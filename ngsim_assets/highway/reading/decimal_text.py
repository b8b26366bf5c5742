"""Lines of decimal text into columns of unscaled integers: the compiled part of the reader.

Belongs here: one pass over bytes that finds lines, cells, numbers and names. Does not belong
here: what the columns mean, where the bytes come from, what becomes of unreadable lines.

One kernel serves blank-separated text and CSV alike, so a user pays for one compilation. It
holds no lock while it runs. Positions are unsigned, so that indexing needs no sign test, and
characters are compared as unsigned numbers, so that "is a digit" is one comparison. Digits are
read one by one: reading eight at a time from a word was tried and took twice as long, because
the place of the next cell then waits for the arithmetic of this one, while a branch is foreseen.
All of it stands in one file, because numba renews its cache when the file of a function changes
and not when that of a function it calls does.
"""

# ruff: noqa: C901, PLR0912, PLR0915, PLR1714, SIM109
# Compiled loops stay in one function where a call would copy state, and comparisons stay
# comparisons, which compile to a test each where `in` builds a tuple.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

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
_U0, _U1, _U2, _U3, _U4, _U8, _U10 = _U(0), _U(1), _U(2), _U(3), _U(4), _U(8), _U(10)
_LINE_FEED, _RETURN, _TAB, _BLANK, _QUOTE = _U(10), _U(13), _U(9), _U(32), _U(34)
_PLUS, _COMMA, _MINUS, _POINT, _DIGIT = _U(43), _U(44), _U(45), _U(46), _U(48)
_CAPITAL_A, _CAPITAL_Z = _U(65), _U(90)
_MAX_LINE = _U(MAX_LINE)

# 15 digits before the point and 3 after stay below 10^18: no accumulation can overflow.
_LONGEST = 15
_POWERS = np.array([10**i for i in range(19)], dtype=np.uint64)

_READ, _ABSENT, _UNREADABLE, _OTHER = 0, 1, 2, 3


def _load_byte(_context: Any, text: Any, p: Any) -> Any:
    """The byte at address + offset, as compiled code.

    Text goes by its address, since numba counts references, with two atomic operations, each
    time an array is passed to a function.
    """

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8)
        address = builder.inttoptr(builder.add(*arguments), byte.as_pointer())
        return builder.zext(builder.load(address), ir.IntType(64))

    return types.uint64(text, p), generate


_at: Any = intrinsic(_load_byte)


@njit(cache=True, nogil=True, forceinline=True)
def _digits(text: Any, p: Any, value: Any) -> Any:
    """Append the digits at p to a value; the value and the place after them."""
    digit = _at(text, p) - _DIGIT
    while digit < _U10:
        value = value * _U10 + digit
        p += _U1
        digit = _at(text, p) - _DIGIT
    return value, p


@njit(cache=True, nogil=True, forceinline=True)
def _is_blank(c: Any) -> Any:
    return c == _BLANK or c == _TAB or c == _RETURN


@njit(cache=True, nogil=True, forceinline=True)
def _after_blanks(text: Any, p: Any) -> Any:
    while _at(text, p) <= _BLANK and _is_blank(_at(text, p)):
        p += _U1
    return p


@njit(cache=True, nogil=True, forceinline=True)
def _plain_number(text: Any, p: Any, separator: Any, decimals: Any) -> Any:
    """What nearly every cell is: 12, -3.45, "1,156" or nothing.

    Returns (status, magnitude in last kept decimals, negative, place after the cell); _OTHER
    where the cell is anything else and has to be looked at closely.
    """
    blanks = separator == _BLANK
    begin = p
    quoted = _at(text, p) == _QUOTE
    if quoted:
        p += _U1
    negative = _at(text, p) == _MINUS
    if negative:
        p += _U1
    start = p
    value, p = _digits(text, start, _U0)
    whole = p - start
    plain = whole - _U1 < _U(_LONGEST)
    if quoted:
        grouped = False
        while plain and _at(text, p) == _COMMA:
            start = p + _U1
            value, p = _digits(text, start, value)
            plain = p - start == _U3 and (grouped or whole <= _U3) and whole < _U(_LONGEST - 2)
            grouped = True
            whole += _U3
        plain = plain and not blanks
    places = _U0
    if _at(text, p) == _POINT:
        start = p + _U1
        value, p = _digits(text, start, value)
        places = p - start
        plain = plain and places <= decimals
    if quoted and plain:
        plain = _at(text, p) == _QUOTE
        p += _U1 if plain else _U0
    end = _at(text, p)
    if (
        end == separator
        or end == _LINE_FEED
        or (blanks and (end == _TAB or end == _RETURN))
        or (end == _RETURN and _at(text, p + _U1) == _LINE_FEED)
    ):
        if plain:
            return _READ, value * _POWERS[decimals - places], negative, p
        if p == begin:
            return _ABSENT, _U0, False, p
    return _OTHER, _U0, False, begin


@njit(cache=True, nogil=True)
def _cell(text: Any, p: Any, separator: Any) -> Any:
    """Ends of the content of any cell that begins at p, and the place after the cell."""
    a = p
    if separator == _BLANK:
        while not (
            _at(text, p) == _BLANK
            or _at(text, p) == _TAB
            or _at(text, p) == _RETURN
            or _at(text, p) == _LINE_FEED
        ):
            p += _U1
        return a, p, p
    if _at(text, p) == _QUOTE:
        p += _U1
        while _at(text, p) != _LINE_FEED and (
            _at(text, p) != _QUOTE or _at(text, p + _U1) == _QUOTE
        ):
            p += _U2 if _at(text, p) == _QUOTE else _U1
        b = p
        if _at(text, p) == _QUOTE:
            p = _after_blanks(text, p + _U1)
            if _at(text, p) == separator or _at(text, p) == _LINE_FEED:
                a += _U1
                while a < b and _at(text, a) == _BLANK:
                    a += _U1
                while b > a and _at(text, b - _U1) == _BLANK:
                    b -= _U1
                return a, b, p
    while _at(text, p) != separator and _at(text, p) != _LINE_FEED:
        p += _U1
    b = p
    while b > a and (
        _at(text, b - _U1) == _BLANK or _at(text, b - _U1) == _TAB or _at(text, b - _U1) == _RETURN
    ):
        b -= _U1
    return a, b, p


@njit(cache=True, nogil=True, forceinline=True)
def _lower(c: Any) -> Any:
    return c | _BLANK if _CAPITAL_A <= c <= _CAPITAL_Z else c


@njit(cache=True, nogil=True)
def _says_absent(text: Any, a: Any, b: Any) -> Any:
    """Whether a cell is empty or na, n/a, nan, null, none in any case."""
    if b == a:
        return True
    if b - a > _U4:
        return False
    word = _U0
    for i in range(a, b):
        word = (word << _U8) | _lower(_at(text, i))
    return (
        word == _U(0x6E61)  # na
        or word == _U(0x6E2F61)  # n/a
        or word == _U(0x6E616E)  # nan
        or word == _U(0x6E756C6C)  # null
        or word == _U(0x6E6F6E65)  # none
    )


@njit(cache=True, nogil=True)
def _whole_part(text: Any, p: Any, b: Any) -> Any:
    """Digits before the point, thousands divided into groups of exactly three or not at all.

    Returns (readable, value, digits that count, digits, place after them).
    """
    value = _U0
    significant = 0
    digits = 0
    group = 0
    grouped = False
    while p < b:
        d = _at(text, p) - _DIGIT
        if d < _U10 and significant < _LONGEST:
            value = value * _U10 + d
            significant += value != _U0
            digits += 1
            group += 1
        elif _at(text, p) == _COMMA and 0 < group <= 3 and (group == 3 or not grouped):
            grouped = True
            group = 0
        else:
            break
        p += _U1
    return not grouped or group == 3, value, significant, digits, p


@njit(cache=True, nogil=True)
def _any_number(text: Any, a: Any, b: Any, decimals: Any) -> Any:
    """Read [a, b) as a decimal number: (status, magnitude in last kept decimals, negative).

    Zeros past the kept decimals say nothing; other digits there would be lost, so the number is
    unreadable, except in the full expansion of a double (`1873344.9619999998`): a double holds
    15 decimal digits of a measurement, what follows them is noise of an earlier program.
    """
    p = a
    negative = _at(text, p) == _MINUS
    if negative or _at(text, p) == _PLUS:
        p += _U1
    readable, value, significant, digits, p = _whole_part(text, p, b)
    places = 0
    if p < b and _at(text, p) == _POINT:
        p += _U1
        zeros = 0
        while p < b and _at(text, p) - _DIGIT < _U10:
            d = _at(text, p) - _DIGIT
            digits += 1
            zeros += 1
            if d != _U0:
                # zeros count only once another digit follows them
                significant = significant + zeros if value != _U0 else 1
                places += zeros
                if significant > 18 or places > 18:
                    return _UNREADABLE, _U0, False
                value = value * _POWERS[zeros] + d
                zeros = 0
            p += _U1
    if p < b or digits == 0 or not readable:
        return _UNREADABLE, _U0, False
    kept = np.int64(decimals)
    if places > kept and significant > _LONGEST:
        noise = significant - _LONGEST
        value = (value + _POWERS[noise] // _U2) // _POWERS[noise]
        places -= noise
        while places > kept and value % _U10 == _U0:
            value //= _U10
            places -= 1
    if places > kept:
        return _UNREADABLE, _U0, False
    return _READ, value * _POWERS[kept - places], negative


@njit(cache=True, nogil=True)
def _name(text: Any, a: Any, b: Any, names: Any) -> Any:
    """Code of the name in [a, b), compared without case; NO_NAME if there is no such name."""
    size = b - a
    for i in range(names.sizes.size):
        if _U(names.sizes[i]) != size:
            continue
        j = _U0
        while j < size and _lower(_at(text, a + j)) == _U(names.texts[i, j]):
            j += _U1
        if j == size:
            return names.codes[i]
    return np.uint8(NO_NAME)


class Columns(NamedTuple):
    """Per column of the file: kind, row of `narrow` or `wide`, decimals kept, largest magnitude."""

    kinds: NDArray[np.uint8]
    slots: NDArray[np.uint64]
    decimals: NDArray[np.uint64]
    largest: NDArray[np.uint64]


class Names(NamedTuple):
    """Names a cell may hold: lower-case bytes, one name a row; their sizes; their codes."""

    texts: NDArray[np.uint8]
    sizes: NDArray[np.uint8]
    codes: NDArray[np.uint8]


class Rows(NamedTuple):
    """Room for rows.

    Attributes:
        narrow, wide: 32-bit and 64-bit numbers per slot and row.
        name: code of the name per row.
        line: number of the line per row.
        nulls: absent cells per column of the file; added to.
        bad: row, begin and end of the lines with something unreadable in them.
    """

    narrow: NDArray[np.int32]
    wide: NDArray[np.int64]
    name: NDArray[np.uint8]
    line: NDArray[np.int64]
    nulls: NDArray[np.int64]
    bad: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _blank_out(row: Any, keep: Any, seen: Any, columns: Any, out: Any) -> Any:
    """Make every cell of a row from `keep` on null; those before `seen` hold what was read."""
    for i in range(keep, _U(columns.kinds.size)):
        kind = columns.kinds[i]
        slot = columns.slots[i]
        was_null = False
        if kind == NARROW:
            was_null = out.narrow[slot, row] == NULL_NARROW
            out.narrow[slot, row] = NULL_NARROW
        elif kind == WIDE:
            was_null = out.wide[slot, row] == NULL_WIDE
            out.wide[slot, row] = NULL_WIDE
        elif kind == NAME:
            was_null = out.name[row] == NO_NAME
            out.name[row] = NO_NAME
        if i >= seen or not was_null:
            out.nulls[i] += 1


@njit(cache=True, nogil=True)
def parse(
    text: Any,
    size: Any,
    cut: Any,
    first_line: Any,
    separator: Any,
    columns: Any,
    names: Any,
    out: Any,
) -> Any:
    """Parse whole lines until the text or the room for rows ends.

    Args:
        text: address (uint64) of `size` bytes (uint64) that end with a line feed.
        cut: whether the last line feed was added: the file ends inside a line.
        first_line: number of the first line of the text.
        separator: the character between cells; a blank stands for runs of blanks and tabs.
        columns, names, out: Columns, Names and Rows.

    Returns (rows, lines, bad rows, bytes read).

    A row with too few or too many cells is all null: no cell is known to stand under its own
    header. Only the last line of a file that ends inside it keeps the cells before the cut.
    """
    kinds, slots, decimals, largest = columns
    narrow, wide, name, line, nulls, bad = out
    cells = _U(kinds.size)
    blanks = separator == _BLANK
    room = _U(line.size)
    p = _U0
    row = _U0
    lines = 0
    bads = 0
    while p < size and row < room:
        begin = p
        lines += 1
        p = _after_blanks(text, p)
        if _at(text, p) == _LINE_FEED:
            p += _U1
            continue
        unreadable = False
        column = _U0
        while True:
            kind = kinds[column]
            status = _OTHER
            value = _U0
            negative = False
            if kind <= WIDE:
                status, value, negative, p = _plain_number(text, p, separator, decimals[column])
            if status == _OTHER:
                a, b, p = _cell(text, p, separator)
                status = _READ
                if kind == NAME:
                    name[row] = _name(text, a, b, names)
                    if name[row] == NO_NAME:
                        status = _ABSENT if _says_absent(text, a, b) else _UNREADABLE
                elif kind != IGNORED:
                    if _says_absent(text, a, b):
                        status = _ABSENT
                    else:
                        status, value, negative = _any_number(text, a, b, decimals[column])
            if kind <= WIDE and value > largest[column]:
                status = _UNREADABLE
            if status != _READ:
                nulls[column] += 1
                unreadable |= status == _UNREADABLE
            if kind == NARROW:
                number = -np.int64(value) if negative else np.int64(value)
                narrow[slots[column], row] = NULL_NARROW if status != _READ else np.int32(number)
            elif kind == WIDE:
                number = -np.int64(value) if negative else np.int64(value)
                wide[slots[column], row] = NULL_WIDE if status != _READ else number
            column += _U1
            if blanks:
                p = _after_blanks(text, p)
                if column == cells or _at(text, p) == _LINE_FEED:
                    break
            elif _at(text, p) == separator:
                if column == cells:
                    break
                p = _after_blanks(text, p + _U1)
            else:
                p = _after_blanks(text, p)
                break
        ended = _at(text, p) == _LINE_FEED
        while _at(text, p) != _LINE_FEED:
            p += _U1
        end = p
        p += _U1
        if not ended or column < cells or end - begin > _MAX_LINE:
            unreadable = True
            keep = _U0
            if cut and p == size and column < cells and end - begin <= _MAX_LINE:
                keep = column - _U1
            _blank_out(row, keep, column, columns, out)
        if unreadable:
            bad[bads, 0] = row
            bad[bads, 1] = begin
            bad[bads, 2] = end
            bads += 1
        line[row] = first_line + lines - 1
        row += _U1
    return row, lines, bads, p
