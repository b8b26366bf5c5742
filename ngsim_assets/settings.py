"""Every path, limit and switch, read from `NGSIM_*` environment variables and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ngsim_assets.errors import NgsimAssetsError

_USER = re.compile(r"[^/\s]*@")
"""A user, and maybe a password, in an address."""


class BadSetting(NgsimAssetsError):
    """An `NGSIM_*` variable does not hold what it should."""

    exit_code = 2

    def __init__(self, variable: str, value: object, reason: str) -> None:
        shown = _USER.sub("", value) if isinstance(value, str) else value
        super().__init__(f"{variable}={shown!r}: {reason}", f"correct or unset {variable}")


def _address(value: str) -> str:
    """`value` if requests can go there; it may not hold a password, which would be logged."""
    _check_address(value)
    if "@" in urlsplit(value).netloc:
        raise PydanticCustomError("address", "an address without a user or a password is wanted")
    return value


def _address_or_none(value: str) -> str:
    """`value` if it is empty or requests can go there, be it as a user."""
    if value:
        _check_address(value)
    return value


def _check_address(value: str) -> None:
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").encode("idna")  # UnicodeError: no name to be looked up
        is_one = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or re.search(r"[\s\\]", value):
        raise PydanticCustomError("address", "an address is wanted, like https://example.org")


Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """Where things are and how much they may take.

    `NGSIM_DATA` is the one most users set; everything else has a default that fits a laptop.
    """

    model_config = SettingsConfigDict(env_prefix="NGSIM_", extra="ignore", frozen=True)

    data: Path = Field(
        Path("data"), description="Folder of everything stored: landing, lake, reports."
    )
    incoming: Path | None = Field(
        None, description="Folder that is watched for new files; unset: incoming, below the data."
    )
    settle: float = Field(
        5.0, ge=0, description="Seconds without a change until a watched file counts as complete."
    )
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = Field(
        "zstd", description="Compression of the tables' Parquet files."
    )
    compression_level: int | None = Field(
        None, description="Level of that compression, None for the codec's fast default."
    )
    row_group_rows: int = Field(
        65_536, ge=1_024, description="Rows of a Parquet row group: the unit a reader can skip."
    )
    chunk_rows: int = Field(
        250_000, ge=1_000, description="Rows worked on at once; memory grows with it."
    )
    workers: int = Field(2, ge=1, le=64, description="Chunks worked on at the same time.")
    gap_limit: float = Field(
        2.0, gt=0, description="Seconds without a vehicle's rows that cleaning still fills in."
    )
    cleaning_method: str = Field(
        "robust_whittaker",
        description="How positions become motion, by a name of `reconstruction/methods.py`.",
    )

    @property
    def incoming_folder(self) -> Path:
        """The folder that is watched for new files."""
        return self.data / "incoming" if self.incoming is None else self.incoming

    @property
    def rejected(self) -> Path:
        """Files of the incoming folder that could not be taken in, with the reasons."""
        return self.data / "rejected"

    keep_days: float = Field(
        30.0, ge=0, description="Days that a version can be read after a later one came."
    )
    keep_versions: int = Field(
        10, ge=1, description="Versions of a partition that can be read whatever their age."
    )
    portal: Address = Field(
        "https://data.transportation.gov",
        description="Data portal (Socrata) that publishes NGSIM.",
    )
    soda_app_token: SecretStr | None = Field(
        None, description="Application token of the portal: more requests per hour. Never logged."
    )
    download_highways: str = Field(
        "", description="Highways the schedule downloads, separated by commas; empty: none."
    )
    download_way: Literal["zip", "api", "export"] = Field(
        "zip", description="What is downloaded: attached archives, queries, the unified export."
    )
    f1_archive: Address = Field(
        "https://livetiming.formula1.com/static",
        description="Archive of Formula 1's live timing; its address ends in /static.",
    )
    f1_schedule: Address = Field(
        "https://raw.githubusercontent.com/theOehrly/f1schedule/master",
        description="Folder of schedule_2025.json, the seasons as FastF1 reads them.",
    )
    f1_results: Address = Field(
        "https://api.jolpi.ca/ergast/f1", description="Results (Ergast) that FastF1 asks for."
    )
    openf1: Address = Field("https://api.openf1.org/v1", description="OpenF1's REST interface.")
    open_meteo: Address = Field(
        "https://api.open-meteo.com", description="Forecasts of Open-Meteo, without a key."
    )
    openweathermap: Address = Field(
        "https://api.openweathermap.org", description="Forecasts of OpenWeatherMap."
    )
    openweathermap_key: SecretStr | None = Field(
        None, description="Key of OpenWeatherMap; without one it is not asked. Never logged."
    )
    f1_recordings: Path | None = Field(
        None,
        description="Folder that is watched for sessions of Formula 1: recordings, and folders "
        "of .jsonStream files or of OpenF1 responses; unset: f1/recordings, below the data.",
    )
    f1_live: bool = Field(
        False, description="Whether the live hub of Formula 1 may be connected to."
    )
    sources_at_once: int = Field(
        4, ge=1, le=64, description="Sources asked for their data at the same time."
    )
    requests_at_once: int = Field(
        16, ge=1, le=256, description="Requests that are under way at the same time, in all."
    )
    host_connections: int = Field(
        8, ge=1, le=64, description="Connections to one host at the same time."
    )
    host_requests: float = Field(
        10.0, gt=0, description="Requests per second that one host gets at most."
    )
    connect_timeout: float = Field(
        20.0, gt=0, description="Seconds until a host that does not accept is given up."
    )
    stall_timeout: float = Field(
        30.0, gt=0, description="Seconds over which a body must bring `stall_bytes` at least."
    )
    stall_bytes: int = Field(
        16_384, ge=1, description="Bytes per `stall_timeout` under which a body counts as stalled."
    )
    deadline: float = Field(
        21_600.0,
        gt=0,
        description="Seconds that one resource may take, attempts and waits included.",
    )
    retries: int = Field(
        3, ge=0, le=20, description="Attempts after the first that brought nothing new: 1, 2, 4 s."
    )
    breaker_failures: int = Field(
        3, ge=1, description="Failures in a row after which a host is left alone."
    )
    breaker_seconds: float = Field(
        60.0, gt=0, description="Seconds that a host is left alone before one request tries again."
    )
    segments: int = Field(
        4, ge=1, le=16, description="Connections for one large file, where each is throttled."
    )
    artifact_bytes: int = Field(
        64 * 2**30, ge=1, description="Bytes of a file over which its body counts as endless."
    )
    log: Literal["human", "json"] = Field(
        "human", description="What is told beside results: for people, or a JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    pushgateway: Annotated[str, AfterValidator(_address_or_none)] = Field(
        "", description="URL of a Prometheus Pushgateway that gets the metrics; empty: none."
    )
    postgres_dsn: SecretStr | None = Field(
        None, description="PostgreSQL server that gets tables too; unset: none. Never logged."
    )
    disk_reserve: int = Field(
        2 * 2**30, ge=0, description="Free bytes under which the disk counts as unhealthy."
    )

    @property
    def f1_folder(self) -> Path:
        """The folder that is watched for sessions of Formula 1."""
        return self.data / "f1" / "recordings" if self.f1_recordings is None else self.f1_recordings

    @property
    def f1_live_sessions(self) -> Path:
        """Sessions that are being received, a folder each: what came, and where it stands."""
        return self.data / "f1" / "live"

    @property
    def f1_sessions(self) -> Path:
        """What is known of each session that was delivered, a record each."""
        return self.data / "f1" / "sessions"

    @property
    def landing(self) -> Path:
        """What was delivered, as it came."""
        return self.data / "landing"

    @property
    def downloads(self) -> Path:
        """What was downloaded: files by content, their manifests, what is not complete yet."""
        return self.data / "downloads"

    @property
    def metrics(self) -> Path:
        """Metrics of every process that ended, for Prometheus' textfile collector."""
        return self.data / "metrics"

    @property
    def lake(self) -> Path:
        """The tables."""
        return self.data / "lake"

    @property
    def reports(self) -> Path:
        """HTML and JSON reports, a folder per highway and recording."""
        return self.data / "reports"

    @property
    def failures(self) -> Path:
        """Builds that failed and were not made up for, a record each."""
        return self.data / "failures"

    @property
    def rollbacks(self) -> Path:
        """Rollbacks that stopped half-way, a record each."""
        return self.data / "rollbacks"

    @property
    def catalog(self) -> Path:
        """DuckDB file with a view per table."""
        return self.data / "ngsim.duckdb"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance where `DAGSTER_HOME` names no other."""
        return self.data / "dagster"


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, `overrides` first; BadSetting names a wrong variable."""
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        first = error.errors()[0]
        name = "NGSIM_" + str(first["loc"][0]).upper()
        raise BadSetting(name, first.get("input"), first["msg"]) from None
