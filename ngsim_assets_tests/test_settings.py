"""A wrong variable is refused as such, before anything is asked of anybody."""

from __future__ import annotations

import pytest

from ngsim_assets.settings import BadSetting, load_settings

ADDRESSES = (
    "NGSIM_PORTAL",
    "NGSIM_F1_ARCHIVE",
    "NGSIM_F1_SCHEDULE",
    "NGSIM_F1_RESULTS",
    "NGSIM_OPENF1",
    "NGSIM_OPEN_METEO",
    "NGSIM_OPENWEATHERMAP",
    "NGSIM_PUSHGATEWAY",
)


@pytest.mark.parametrize("variable", ADDRESSES)
@pytest.mark.parametrize(
    "nonsense",
    [
        "nonsense",
        "data.transportation.gov",
        "ftp://data.transportation.gov",
        "https://",
        "https:///8ect-6jqj",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "https://data transportation.gov",
        "https://a..b",
    ],
)
def test_what_is_no_address_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, nonsense: str
) -> None:
    monkeypatch.setenv(variable, nonsense)
    with pytest.raises(BadSetting) as refused:
        load_settings()
    assert refused.value.problem == (
        f"{variable}={nonsense!r}: an address is wanted, like https://example.org"
    )
    assert refused.value.fix == f"correct or unset {variable}"


def test_an_address_is_taken_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("https://example.org/x/", "http://[::1]:8080", "http://localhost:1/ü?a=1"):
        monkeypatch.setenv("NGSIM_PORTAL", address)
        assert load_settings().portal == address


def test_a_password_in_an_address_is_refused_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_PORTAL", "https://me:sesame@example.org")
    with pytest.raises(BadSetting, match="without a user") as refused:
        load_settings()
    assert "sesame" not in str(refused.value)
    monkeypatch.setenv("NGSIM_PORTAL", "me:sesame@example.org")
    with pytest.raises(BadSetting) as refused:
        load_settings()
    assert "sesame" not in str(refused.value)


def test_a_gateway_may_ask_for_a_user_or_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "http://me:sesame@localhost:9091"):
        monkeypatch.setenv("NGSIM_PUSHGATEWAY", address)
        assert load_settings().pushgateway == address
    monkeypatch.setenv("NGSIM_PUSHGATEWAY", "me:sesame@localhost:9091")
    with pytest.raises(BadSetting) as refused:
        load_settings()
    assert "sesame" not in str(refused.value)
