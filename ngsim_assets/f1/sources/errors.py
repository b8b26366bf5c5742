"""What can go wrong between a service of Formula 1 and a file, each with what to do.

Belongs here: failures of the ingestors. Does not belong here: those of a transfer
(acquisition/transfer/errors.py), of a file that is there (f1/errors.py). A session or a topic that
a service does not have is no error: the session's file says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ngsim_assets.f1.errors import F1Error


class SeasonNotThere(F1Error):
    """Seasons or sessions that a service does not list."""

    def __init__(self, service: str, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"{service} does not list {', '.join(missing)}",
            "check year and path; a session can be named by its path in the archive, such as"
            " 2020/2020-08-30_Belgian_Grand_Prix/2020-08-30_Race",
        )


class NotASeason(F1Error):
    """An answer that is no list of sessions."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(f"{source} is no list of sessions: {found}", "check the address")


class NotAForecast(F1Error):
    """An answer of a weather service that does not have the documented form."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(
            f"{source} is no forecast: {found}",
            "check the address of the service; if it changed its answers, forecasts.py must follow",
        )


class KeyRefused(F1Error):
    """OpenWeatherMap does not accept the key."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            problem,
            "check NGSIM_OPENWEATHERMAP_KEY (a new key takes some hours), or unset it",
        )


class FastF1Missing(F1Error):
    """The library that seasons of the past are read with is not installed."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "FastF1 is not installed", "install it with the extra: pip install 'ngsim_assets[f1]'"
        )


class FastF1Failed(F1Error):
    """FastF1 has no laps of a session although the archive has its timing, or ended by itself."""

    def __init__(self, session: str, said: str) -> None:
        super().__init__(
            f"FastF1 could not read {session}: {said}",
            "run the same command again later; sessions that are complete are not asked for again",
        )


class FastF1Limited(F1Error):
    """FastF1 has asked as often in an hour as services allow."""

    def __init__(self, session: str, said: str) -> None:
        super().__init__(
            f"{session} has to wait: {said}",
            "run the same command again in an hour; it goes on with the sessions that are missing",
        )


class ArchiveNotForFastF1(F1Error):
    """The address of an archive that FastF1 cannot be pointed to."""

    exit_code = 2

    def __init__(self, url: str) -> None:
        super().__init__(
            f"FastF1 reads archives below /static only, not {url}",
            "set NGSIM_F1_ARCHIVE to an address that ends in /static",
        )
