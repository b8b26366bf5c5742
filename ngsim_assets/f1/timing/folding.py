"""The one deep merge: changes folded into the state of a topic.

A change is a part of the state with new values. An object of numbers (`{"0": ...}`) changes the
elements of an array, an array replaces one, `_deleted` names keys to be taken away before the rest
is set, and what else begins with an underscore (`_kf`) is no state.

Belongs here: the merge, and how two changes become one. Does not belong here: what any state
means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from ngsim_assets.f1.formats import Json

DELETED: Final = "_deleted"
LONGEST: Final = 10_000
"""Elements of an array that a change can reach; the longest real one has some hundred."""
FARTHEST: Final = 250
"""How far behind the end of an array an element may be added: what was lost in between."""
_DIGITS: Final = 9  # of an index: the number of a far longer one takes Python too long to read


class Unfoldable(ValueError):
    """A change that does not fit the state: it names no element of an array, or a far one."""


def fold(state: Json, change: Json) -> Json:
    """The state after `change`; None is no state yet.

    The state handed in is given up: its objects are changed. The change is not, and shares
    nothing with the result that a later fold would change.

    Raises:
        Unfoldable: the state may then be changed in part.
    """
    if not isinstance(change, dict):
        return [_whole(item) for item in change] if isinstance(change, list) else change
    if isinstance(state, list):
        return _fold_elements(state, change)
    return _fold_keys(state if isinstance(state, dict) else {}, change)


def combine(first: Json, second: Json) -> Json:
    """One change that does what `first` and then `second` do.

    Raises:
        Unfoldable: they do not fit each other.
    """
    if not isinstance(second, dict) or not isinstance(first, dict):
        return fold(_whole(first), second) if isinstance(first, list) else second
    deleted = list(_deleted(first))
    merged = {key: value for key, value in first.items() if key != DELETED}
    for key in _deleted(second):
        merged.pop(key, None)
        deleted.append(key)
    for key, value in second.items():
        if key == DELETED:
            continue
        before = merged.get(key)
        if key in merged and isinstance(value, dict) and not isinstance(before, dict | list):
            # an object in place of a plain value: nothing older may shine through
            deleted.append(key)
        merged[key] = combine(before, value) if key in merged else value
    if deleted:
        merged[DELETED] = cast("Json", sorted(set(deleted)))
    return merged


def fold_all(state: Json, changes: Iterable[Json]) -> Json:
    """The state after all `changes`, one after the other."""
    for change in changes:
        state = fold(state, change)
    return state


def elements(node: Json) -> list[tuple[int, Json]]:
    """Index and value of an array, or of the part of one that changes told of, by index."""
    if isinstance(node, list):
        return list(enumerate(node))
    if isinstance(node, dict):
        return sorted((int(key), value) for key, value in node.items() if _is_index(key))
    return []


def at(node: Json, *path: str) -> Json:
    """What stands at `path`, through objects and arrays; None if nothing does."""
    for key in path:
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and _is_index(key) and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node


def _fold_keys(state: dict[str, Json], change: Mapping[str, Json]) -> dict[str, Json]:
    if DELETED in change:
        for key in _deleted(change):
            state.pop(key, None)
    for key, value in change.items():
        if key.startswith("_"):
            continue
        state[key] = fold(state.get(key), value) if isinstance(value, dict | list) else value
    return state


def _fold_elements(state: list[Json], change: Mapping[str, Json]) -> list[Json]:
    indices = [key for key in change if not key.startswith("_")]
    if not all(_is_index(key) and int(key) < LONGEST for key in indices):
        raise Unfoldable(f"no elements of an array: {', '.join(indices)[:80]}")
    if DELETED in change:
        raise Unfoldable("elements of an array cannot be taken away")
    for key in indices:
        index = int(key)
        if index > len(state) + FARTHEST:
            raise Unfoldable(f"element {index} of an array of {len(state)}")
        # what was not told of yet stays open until it is
        state.extend([None] * (index + 1 - len(state)))
        state[index] = fold(state[index], change[key])
    return state


def _deleted(change: Mapping[str, Json]) -> list[str]:
    names = change.get(DELETED)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _whole(value: Json) -> Json:
    """`value` as a state of its own."""
    return fold(None, value)


def _is_index(key: str) -> bool:
    return len(key) <= _DIGITS and key.isascii() and key.isdigit()
