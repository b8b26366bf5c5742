"""Names of sessions: the same on every machine, for ever.

Belongs here: how a session's key is made, written and read. Does not belong here: what a session
is and when it takes place (sessions.py).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from ngsim_assets.f1.errors import BadSessionKey

_KEY = re.compile(
    r"(\d{4}-\d\d-\d\d)_([a-z0-9]+(?:-[a-z0-9]+)*)_([a-z0-9]+(?:-[a-z0-9]+)*)", re.ASCII
)

LONGEST = 120
"""Characters of a key: with what stands beside it, it has to fit into the name of a file."""


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """One session: local date, meeting and kind, `2025-05-03_miami_sprint`.

    Words of one part are joined by hyphens (`2021-11-06_mexico-city_qualifying`), so a key always
    has three parts; it is safe as the name of a folder and of a partition.

    Raises BadSessionKey for parts that are not a date and lower-case words.
    """

    date: date
    meeting: str
    session: str

    def __post_init__(self) -> None:
        if _KEY.fullmatch(str(self)) is None:
            raise BadSessionKey(str(self), "meeting and session are lower-case words and hyphens")
        if len(str(self)) > LONGEST:
            raise BadSessionKey(f"{str(self)[:40]}…", f"longer than {LONGEST} characters")

    def __str__(self) -> str:
        return f"{self.date.isoformat()}_{self.meeting}_{self.session}"

    @classmethod
    def parse(cls, text: str) -> SessionKey:
        """Key written as `2025-05-03_miami_sprint`; BadSessionKey for anything else."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise BadSessionKey(text, "not date, meeting and session joined by underscores")
        try:
            day = date.fromisoformat(found[1])
        except ValueError as error:
            raise BadSessionKey(text, f"no such date: {error}") from None
        return cls(day, found[2], found[3])

    @classmethod
    def of(cls, day: date, meeting: str, session: str) -> SessionKey:
        """Key of a session as the feeds name it: `Mexico City Grand Prix`, `Practice 1`."""
        name = re.sub(r"\s+grand prix\s*$", "", meeting.strip(), flags=re.IGNORECASE)
        return cls(day, slug(name), slug(session))


def slug(name: str) -> str:
    """`name` in lower-case ASCII words joined by hyphens: `São Paulo` is `sao-paulo`.

    Raises BadSessionKey if nothing of it is left.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    if not words:
        raise BadSessionKey(name, "no letter or digit in it")
    return "-".join(words)


def check_session(key: str) -> str:
    """`key` itself if it is a session key; BadSessionKey otherwise."""
    return str(SessionKey.parse(key))
