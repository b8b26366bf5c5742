"""What commands need of whoever runs the asset graph, and what came of a build.

Belongs here: the contract between the commands of this domain and the shell that knows Dagster
(session_runs.py). Does not belong here: either of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.settings import Settings
from ngsim_assets.storage.rollbacks import Plan


@dataclass
class Built:
    """What a build did.

    Attributes:
        assets: by session, what was built. failed: why sessions could not be, by session.
    """

    assets: dict[SessionKey, list[str]] = field(default_factory=dict[SessionKey, list[str]])
    failed: dict[SessionKey, str] = field(default_factory=dict[SessionKey, str])

    def summary(self) -> dict[str, object]:
        """For machines: everything, as plain values."""
        return {
            "built": {str(key): assets for key, assets in self.assets.items()},
            "failed": {str(key): reason for key, reason in self.failed.items()},
        }


class Runs(Protocol):
    """Runs of the asset graph in this process."""

    def register(self, settings: Settings) -> None:
        """Tell Dagster of everything that was delivered."""
        ...

    def build(
        self, settings: Settings, keys: Sequence[SessionKey], *, force: bool = False
    ) -> Built:
        """Build what is out of date of each session, all of it if `force`.

        Everything that was delivered is registered first. A session that fails is told, and does
        not stop the others.
        """
        ...

    def roll_back(
        self, settings: Settings, key: SessionKey, plan: Plan, *, build: bool = True
    ) -> Built:
        """Carry out a planned rollback, tell Dagster, rebuild what hangs on it if `build`."""
        ...
