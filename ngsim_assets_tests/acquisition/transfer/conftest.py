"""Fixtures of the tests of transfers."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificate is trusted: reading those of the machine takes 70 ms for each client."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
