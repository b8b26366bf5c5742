"""Totals reach a Pushgateway, and one that is down costs a warning."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from ngsim_assets.observability.folding import FILE, Ledger
from ngsim_assets.observability.keeping import kept
from ngsim_assets.observability.metrics import IngestionMetrics
from ngsim_assets.observability.pushing import PushFailed, push
from ngsim_assets.settings import load_settings


class Gateway:
    """What a Pushgateway is to those who push: groups by job and instance, replaced by PUT."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], dict[str, float]] = {}
        self.authorizations: list[str] = []
        self.status = 200
        self.wait = 0.0
        self.pushes = 0

    async def put(self, request: web.Request) -> web.Response:
        self.pushes += 1
        await asyncio.sleep(self.wait)
        if self.status == 200:
            text = (await request.read()).decode()
            place = request.match_info["job"], request.match_info["instance"]
            self.groups[place] = {
                sample.name: sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
            self.authorizations.append(request.headers.get("Authorization", ""))
        return web.Response(status=self.status)


@asynccontextmanager
async def _listening(gateway: Gateway) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_put("/metrics/job/{job}/instance/{instance}", gateway.put)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _with(gateway: Gateway, work: Callable[[str], None]) -> None:
    """Do what blocks while the gateway listens at the address that `work` gets."""

    async def run() -> None:
        async with _listening(gateway) as address:
            await asyncio.to_thread(work, address)

    asyncio.run(run())


def _count(folder: Path, rows: int) -> None:
    metrics = IngestionMetrics()
    metrics.records_total.labels("us-101", "incoming").inc(rows)
    Ledger(metrics.registry, folder).fold()


HERE = ("ngsim", socket.gethostname())


def test_the_totals_of_all_processes_are_put_in_place_of_what_was_pushed(tmp_path: Path) -> None:
    gateway = Gateway()

    def work(address: str) -> None:
        for rows in (3, 4):
            _count(tmp_path, rows)
            assert push(f"http://{address}", tmp_path)

    _with(gateway, work)
    assert gateway.groups == {HERE: {"ngsim_records_total": 7}}
    assert gateway.pushes == 2


def test_a_process_pushes_when_it_ends_and_while_it_goes_on(tmp_path: Path) -> None:
    gateway = Gateway()

    def work(address: str) -> None:
        settings = load_settings(data=tmp_path, pushgateway=f"http://{address}")
        with kept(settings, every=0.05) as metrics:
            metrics.records_total.labels("us-101", "incoming").inc(3)
            until = time.monotonic() + 10
            while not gateway.groups and time.monotonic() < until:
                time.sleep(0.01)
            assert gateway.groups == {HERE: {"ngsim_records_total": 3}}
            metrics.records_total.labels("us-101", "incoming").inc(4)

    _with(gateway, work)
    assert gateway.groups == {HERE: {"ngsim_records_total": 7}}


def test_a_user_in_the_address_is_sent_and_never_told(tmp_path: Path) -> None:
    gateway = Gateway()
    _count(tmp_path, 1)

    def work(address: str) -> None:
        assert push(f"http://me:pa%20ss@{address}", tmp_path)
        gateway.status = 403
        with pytest.raises(PushFailed, match="403") as failed:
            push(f"http://me:pa%20ss@{address}/", tmp_path)
        assert "pa%20ss" not in str(failed.value)
        assert "pa ss" not in str(failed.value)

    _with(gateway, work)
    assert gateway.authorizations == ["Basic " + base64.b64encode(b"me:pa ss").decode()]


def test_a_gateway_that_is_down_is_a_warning_and_left_alone_for_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = Gateway()
    gateway.status = 503

    def work(address: str) -> None:
        settings = load_settings(data=tmp_path, pushgateway=f"http://{address}")
        for _ in range(3):
            with kept(settings) as metrics:
                metrics.records_total.labels("us-101", "incoming").inc(3)
        gateway.status = 200
        assert not push(settings.pushgateway, settings.metrics)
        assert push(settings.pushgateway, settings.metrics, pause=0)

    _with(gateway, work)
    assert gateway.pushes == 2
    assert gateway.groups == {HERE: {"ngsim_records_total": 9}}
    assert capsys.readouterr().err.count("did not take the metrics") == 1
    assert (tmp_path / "metrics" / FILE).exists()


def test_nobody_listening_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with kept(load_settings(data=tmp_path, pushgateway=address)) as metrics:
            metrics.records_total.labels("us-101", "incoming").inc(3)
    assert "did not take the metrics" in capsys.readouterr().err


def test_a_gateway_that_hangs_holds_the_work_up_for_a_moment_only(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.wait = 5.0
    _count(tmp_path, 1)

    def work(address: str) -> None:
        began = time.monotonic()
        with pytest.raises(PushFailed):
            push(f"http://{address}", tmp_path, timeout=0.2)
        assert time.monotonic() - began < 2

    _with(gateway, work)
