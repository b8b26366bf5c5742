"""How well something is: checks, the worst of them, and asking them all side by side.

Belongs here: what a check says and what several say together. Does not belong here: what is checked
(heartbeats.py, and a domain's health), how it is served (serving.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability.asking import Kept, NoAnswer

Status = Literal["ok", "degraded", "failing"]

_BEST: Status = "ok"
SEVERITY: Mapping[Status, int] = {"ok": 0, "degraded": 1, "failing": 2}
"""How bad a status is; the numbers are those of the metric."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing.

    Attributes:
        status: `degraded` is what somebody should look at, `failing` what keeps the platform from
            doing its work. detail: one line for people. data: the same for machines, as JSON.
    """

    name: str
    status: Status
    detail: str
    data: Mapping[str, object] = field(default_factory=dict[str, object])

    def summary(self) -> dict[str, object]:
        """For machines."""
        return {"status": self.status, "detail": self.detail, **self.data}


@dataclass(frozen=True, slots=True)
class Health:
    """What all checks found."""

    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst of all."""
        return worst(check.status for check in self.checks)

    def of(self, name: str) -> Check | None:
        """The check of that name."""
        return next((check for check in self.checks if check.name == name), None)

    def summary(self) -> dict[str, object]:
        """For machines: the status, and every check by its name."""
        return {
            "status": self.status,
            "checks": {check.name: check.summary() for check in self.checks},
        }


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of `statuses`, ok if there are none."""
    found: list[Status] = [_BEST, *statuses]
    return max(found, key=SEVERITY.__getitem__)


class Examination:
    """Asks several checks at once; see `Kept` for how often, and for how long one is waited for.

    Args:
        checks: by name, each returns what it found of that name.
    """

    def __init__(
        self, checks: Mapping[str, Callable[[], Check]], *, limit: float = 10.0, fresh: float = 1.0
    ) -> None:
        self._kept = {name: Kept(check, limit=limit, fresh=fresh) for name, check in checks.items()}

    async def health(self) -> Health:
        """What every check finds; one that fails or hangs is failing and holds up no other."""
        found = await asyncio.gather(*(_found(name, kept) for name, kept in self._kept.items()))
        return Health(tuple(found))


async def _found(name: str, kept: Kept[Check]) -> Check:
    try:
        return await kept.answer()
    except NoAnswer as error:
        return Check(name, "failing", f"the check hangs: {error}", {"hangs_for": error.seconds})
    except NgsimAssetsError as error:
        return Check(name, "failing", str(error))
    except Exception as error:
        return Check(name, "failing", f"the check failed: {type(error).__name__}: {error}")
