"""Whether a JSON document has the structure a JSON Schema asks for.

The part of JSON Schema (draft 2020-12) that Pydantic writes; an unknown keyword is an error, so
that nothing is passed over.
"""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
_SAYS_NOTHING = {
    "type",
    "title",
    "description",
    "default",
    "$defs",
    "$schema",
    "readOnly",
    "format",
}


def faults(document: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Where `document` departs from `schema`, whose references are to `root`."""
    found = _type(document, schema["type"], at) if "type" in schema else []
    if found:
        return found  # the other keywords speak of that type
    for keyword, wanted in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        found += _CHECKS[keyword](document, wanted, schema, root, at)
    return found


def _reference(document: Any, wanted: str, _: Any, root: dict[str, Any], at: str) -> list[str]:
    return faults(document, root["$defs"][wanted.removeprefix("#/$defs/")], root, at)


def _type(document: Any, wanted: str, at: str) -> list[str]:
    right = isinstance(document, _TYPES[wanted])
    if isinstance(document, bool) and wanted != "boolean":
        right = False
    return [] if right else [f"{at}: {document!r} is no {wanted}"]


def _any_of(document: Any, wanted: list[Any], _: Any, root: dict[str, Any], at: str) -> list[str]:
    if any(not faults(document, option, root, at) for option in wanted):
        return []
    return [f"{at}: {document!r} fits none of {len(wanted)}"]


def _properties(
    document: Any, wanted: dict[str, Any], _: Any, root: dict[str, Any], at: str
) -> list[str]:
    return [
        fault
        for name, part in wanted.items()
        if name in document
        for fault in faults(document[name], part, root, f"{at}.{name}")
    ]


def _others(document: Any, wanted: Any, schema: Any, root: dict[str, Any], at: str) -> list[str]:
    others = {name: v for name, v in document.items() if name not in schema.get("properties", {})}
    if wanted is True:
        return []
    if wanted is False:
        return [f"{at}.{name}: not in the schema" for name in others]
    return [
        fault
        for name, value in others.items()
        for fault in faults(value, wanted, root, f"{at}.{name}")
    ]


def _items(document: Any, wanted: Any, _: Any, root: dict[str, Any], at: str) -> list[str]:
    return [
        fault
        for place, part in enumerate(document)
        for fault in faults(part, wanted, root, f"{at}[{place}]")
    ]


def _holds(test: Any) -> Any:
    def check(document: Any, wanted: Any, _schema: Any, _root: Any, at: str) -> list[str]:
        return [] if test(document, wanted) else [f"{at}: {document!r} against {wanted!r}"]

    return check


_CHECKS: dict[str, Any] = {
    "$ref": _reference,
    "anyOf": _any_of,
    "properties": _properties,
    "additionalProperties": _others,
    "items": _items,
    "required": _holds(lambda document, names: set(names) <= set(document)),
    "enum": _holds(lambda document, values: document in values),
    "const": _holds(lambda document, value: document == value),
    "minimum": _holds(lambda document, least: document >= least),
    "maximum": _holds(lambda document, most: document <= most),
    "exclusiveMinimum": _holds(lambda document, least: document > least),
    "minLength": _holds(lambda document, least: len(document) >= least),
    "pattern": _holds(lambda document, pattern: re.search(pattern, document) is not None),
}
