"""What must not be read by anybody is taken out of whatever is told.

Belongs here: what counts as a secret and what stands in its place. Does not belong here: where it
is told (logs.py).

Three things are taken out: the values that settings keep as `SecretStr`, and the password inside
one that is a connection string, wherever they turn up; what stands in a URL as its user or under a
parameter that is named like a secret; and what a field or a header holds that is named like one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from pydantic import BaseModel, SecretStr

HIDDEN = "***"

_LEAST = 4
"""Characters from which a secret is looked for in any text: shorter ones are part of every word."""

_DEPTH = 8
"""Containers in containers that are looked into; what is deeper is told as text."""

_NAMES = (
    r"token|secret|passw(?:or)?d|passphrase|\bpwd|credential|signature|\bsig\b|"
    r"api[-_.]?key|access[-_.]?key|private[-_.]?key|authorization|\bauth\b|cookie"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
# between :// and the last @ before the path
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_PARAMETER = re.compile(
    rf"([?&;](?:[^=&;#\s]*(?:{_NAMES})[^=&;#\s]*|key)=)[^&;#\s\"'<>]*", re.IGNORECASE
)
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]*(?:token|key|secret))"
    r"([\"']?\s*[:=]\s*)[^\r\n]+",
    re.IGNORECASE,
)

# the second takes in an @ or a / that should have been encoded
_IN_URL = (
    re.compile(r"://[^:/?#@]*:([^/?#@]*)@"),
    re.compile(r"://[^:/?#@]*:(.*)@"),
    re.compile(r"[?&](?:ssl)?password=([^&#]*)"),
)
_IN_NAMES = re.compile(r"(?:^|\s)(ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^'\s]\S*))")
_ESCAPED = re.compile(r"\\(.)")


@lru_cache(4096)  # names of fields are few, and every line has some
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def passwords(secret: str) -> set[str]:
    """Passwords inside a connection string, as they stand there and as they are meant.

    `scheme://user:password@host`, `?password=`, or `password=` beside other names.
    """
    of_url = {found for form in _IN_URL for found in form.findall(secret)}
    meant = {unquote(found) for found in of_url} | {unquote_plus(found) for found in of_url}
    quoted = {found[1] or found[2] for found in _IN_NAMES.findall(secret)}
    return {*of_url, *meant, *quoted, *(_ESCAPED.sub(r"\1", found) for found in quoted)} - {""}


class Redactor:
    """Takes secrets out of texts and of nested values.

    Args:
        secrets: values that nobody may read; those shorter than four characters are none.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            if len(secret) >= _LEAST
            for form in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
        }
        # a secret that begins another one would leave the rest of it
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @classmethod
    def of(cls, *settings: BaseModel) -> Redactor:
        """Hides every `SecretStr` of `settings`, and passwords inside them."""
        secrets = [
            value.get_secret_value()
            for model in settings
            for value in (getattr(model, name) for name in type(model).model_fields)
            if isinstance(value, SecretStr)
        ]
        return cls([*secrets, *(password for secret in secrets for password in passwords(secret))])

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if "://" in text:
            text = _USER.sub(rf"\g<1>{HIDDEN}@", text)
        if "=" in text:
            text = _PARAMETER.sub(rf"\g<1>{HIDDEN}", text)
        if ":" in text or "=" in text:
            text = _HEADER.sub(rf"\g<1>\g<2>{HIDDEN}", text)
        return text

    def value(self, value: object, name: str = "", depth: int = 0) -> object:
        """`value` as what JSON knows, without secrets.

        Args:
            name: of the field that holds it. depth: containers that it is inside of.
        """
        if value is None or isinstance(value, bool):
            return value
        if _is_secret(name):
            return HIDDEN
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if depth < _DEPTH and isinstance(value, Mapping):
            return {
                self.text(str(key)): self.value(held, str(key), depth + 1)
                for key, held in value.items()
            }
        if depth < _DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self.value(held, "", depth + 1) for held in value]
        return self.text(str(value))
