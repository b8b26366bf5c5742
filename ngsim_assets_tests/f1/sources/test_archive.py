"""Sessions of the archive: real ones where they are, simulated ones always."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from ngsim_assets.acquisition.results import IngestionResult, Outcome
from ngsim_assets.acquisition.transfer.errors import NotTheFile, TooManyRequests
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.simulate import Scenario, feed_files, simulate
from ngsim_assets.f1.sources.archive import Archive
from ngsim_assets.f1.sources.errors import NotASeason, SeasonNotThere
from ngsim_assets.f1.sources.feed_source import FeedSource, SessionFile, readings
from ngsim_assets.f1.sources.places import Wanted
from ngsim_assets.f1.sources.safety_car import SafetyCarIngestor
from ngsim_assets.f1.sources.simulated import Simulated, path_of, write_archive
from ngsim_assets.f1.sources.telemetry import TelemetryIngestor
from ngsim_assets.f1.sources.timing import TIMING, TimingIngestor
from ngsim_assets.settings import Settings
from ngsim_assets_tests.f1.sources.served import Answer, Served, run

SCENARIO = Scenario(laps=3, cars=4, seed=5)
SPAN = (600_000, 615_000)
KEY = str(SCENARIO.session)
WANTED = Wanted(years=(2026,))
FOLDER = f"/static/{path_of(SCENARIO)}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated archive."""
    root = tmp_path_factory.mktemp("archive")
    write_archive(root, [SCENARIO], telemetry=SPAN)
    return root


def timing(settings: Settings) -> list[TimingIngestor]:
    return [TimingIngestor(settings, Archive(settings, WANTED))]


def only(result: IngestionResult) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def test_a_served_session_comes_whole_and_then_not_again(tree: Path, tmp_path: Path) -> None:
    served = Served(tree)
    first, second = run(served, tmp_path, timing, times=2)
    outcome = only(first[0])
    assert (first[0].status, second[0].status) == ("fetched", "unchanged")
    told, read = readings(outcome.artifacts)
    assert (str(told.key), told.simulated, told.missing) == (KEY, True, ())
    messages = simulate(SCENARIO, telemetry=SPAN).messages
    for topic in TIMING.topics:
        reading = read[f"{topic}.jsonStream"]
        assert len(reading.messages) == sum(one.topic == topic for one in messages)
        assert reading.aside == []
    lines = {item.name: item.rows for item in outcome.artifacts}
    assert lines["TimingData.jsonStream"] == read["TimingData.jsonStream"].lines
    after = served.seen[served.seen.index(("", "end")) :]
    assert [path for method, path in after if method == "GET"] == ["/static/2026/Index.json"]


def test_what_one_ingestor_holds_another_one_does_not_fetch(tree: Path, tmp_path: Path) -> None:
    ingestors: list[type[FeedSource]] = [TimingIngestor, SafetyCarIngestor, TelemetryIngestor]
    turns = iter(ingestors)

    def make(settings: Settings) -> list[FeedSource]:
        return [next(turns)(settings, Archive(settings, WANTED))]

    served = Served(tree)
    results = run(served, tmp_path, make, times=3)
    assert [result.status for (result,) in results] == ["fetched"] * 3
    for (result,), ingestor in zip(results, ingestors, strict=True):
        names = {item.name.removesuffix(".jsonStream") for item in result.artifacts}
        assert names == {*ingestor.parts.topics, "session.json"}
    topics = [path.rpartition("/")[2] for path in served.bodies]
    assert len(topics) == len(set(topics)), "no topic was sent twice"
    digests = {
        item.sha256
        for (result,) in results
        for item in result.artifacts
        if item.name == "TimingData.jsonStream"
    }
    assert len(digests) == 1


def test_a_simulated_place_gives_the_bytes_that_the_served_one_gives(
    tree: Path, tmp_path: Path
) -> None:
    def both(settings: Settings) -> list[TelemetryIngestor]:
        return [TelemetryIngestor(settings, Archive(settings, WANTED))]

    def made(settings: Settings) -> list[TelemetryIngestor]:
        return [TelemetryIngestor(settings, Simulated([SCENARIO], telemetry=SPAN))]

    served = Served(tree)
    ((fetched,),) = run(served, tmp_path / "served", both)
    asked = len(served.seen)
    (simulated,), (again,) = run(served, tmp_path / "made", made, times=2)
    assert len(served.seen) == asked + 2, "nothing but the ends of both runs"
    assert (simulated.status, again.status) == ("fetched", "unchanged")
    digests = [
        {item.name: item.sha256 for item in result.artifacts if item.name != "session.json"}
        for result in (fetched, simulated)
    ]
    assert digests[0] == digests[1]
    assert digests[0].keys() == {f"{topic}.jsonStream" for topic in TelemetryIngestor.parts.topics}


def test_a_missing_topic_and_a_missing_session_are_known_and_no_failures(tmp_path: Path) -> None:
    other = Scenario(laps=2, cars=2, seed=6, circuit="monaco")
    write_archive(tmp_path / "tree", [SCENARIO, other])
    (tmp_path / "tree" / path_of(SCENARIO) / "TimingAppData.jsonStream").unlink()
    for path in (tmp_path / "tree" / path_of(other)).iterdir():
        path.unlink()
    served = Served(tmp_path / "tree")
    (first,), (second,) = run(served, tmp_path / "data", timing, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    files = {
        outcome.resource.labels["session"]: SessionFile.read(outcome.artifacts[-1].path)
        for outcome in first.outcomes
    }
    assert files[KEY].missing == ("TimingAppData",)
    assert not files[str(other.session)].available
    assert any(str(other.session) in text for text in second.warnings)
    heads = [path for method, path in served.seen if method == "HEAD" and path_of(other) in path]
    assert [path.rpartition("/")[2] for path in heads] == ["SessionInfo.jsonStream"] * 2


def test_a_topic_that_comes_later_is_fetched_then(tmp_path: Path) -> None:
    write_archive(tmp_path / "tree", [SCENARIO])
    path = tmp_path / "tree" / path_of(SCENARIO) / "LapCount.jsonStream"
    body = path.read_bytes()
    path.unlink()
    run(Served(tmp_path / "tree"), tmp_path / "data", timing)
    path.write_bytes(body)
    ((result,),) = run(Served(tmp_path / "tree"), tmp_path / "data", timing)
    assert "LapCount.jsonStream" in {item.name for item in result.artifacts}


def test_seasons_that_are_not_listed_are_told_and_the_others_come(
    tree: Path, tmp_path: Path
) -> None:
    def make(settings: Settings) -> list[TimingIngestor]:
        wanted = Wanted(years=(1950, 2026), paths=("2026/nowhere",))
        return [TimingIngestor(settings, Archive(settings, wanted))]

    ((result,),) = run(Served(tree), tmp_path, make)
    assert result.status == "partial"
    assert isinstance(result.source_error, SeasonNotThere)
    assert result.source_error.missing == ("1950", "2026/nowhere")
    assert only(result).status == "fetched"


def test_a_session_may_be_named_by_its_path(tree: Path, tmp_path: Path) -> None:
    def make(settings: Settings) -> list[TimingIngestor]:
        wanted = Wanted(paths=(f"{path_of(SCENARIO)}/",))
        return [TimingIngestor(settings, Archive(settings, wanted))]

    ((result,),) = run(Served(tree), tmp_path, make)
    assert only(result).resource.labels["session"] == KEY


async def _page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<!doctype html><html>moved</html>", content_type="text/plain")


async def _other_content(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"no feed at all\n")


async def _too_many(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "0"})


@pytest.mark.parametrize(
    ("answer", "error"),
    [(_page, NotTheFile), (_other_content, NotAFeed), (_too_many, TooManyRequests)],
)
def test_what_is_no_feed_is_named_and_not_kept(
    tree: Path, tmp_path: Path, answer: Answer, error: type[Exception]
) -> None:
    served = Served(tree, answers={f"{FOLDER}/TimingData.jsonStream": answer})
    ((result,),) = run(served, tmp_path, timing, {"retries": 0})
    assert only(result).status == "failed"
    assert isinstance(only(result).error, error)


def test_a_season_that_is_no_list_is_named(tree: Path, tmp_path: Path) -> None:
    served = Served(tree, answers={"/static/2026/Index.json": _page})
    ((result,),) = run(served, tmp_path, timing)
    assert isinstance(result.source_error, NotASeason)


def test_a_body_that_is_cut_is_gone_on_with(tree: Path, tmp_path: Path) -> None:
    body = feed_files(simulate(SCENARIO, telemetry=SPAN).messages)["TimingData.jsonStream"]
    calls: list[str] = []

    async def cut_once(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            calls.append(request.headers.get("Range", ""))
            if len(calls) == 1:
                head = {"Content-Length": str(len(body)), "ETag": '"one"'}
                response = web.StreamResponse(headers=head)
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
                assert request.transport is not None
                request.transport.close()
                return response
        return web.Response(body=body, headers={"ETag": '"one"'})

    served = Served(tree, answers={f"{FOLDER}/TimingData.jsonStream": cut_once})
    ((result,),) = run(served, tmp_path, timing)
    found = next(i for i in result.artifacts if i.name == "TimingData.jsonStream")
    assert found.path.read_bytes() == body
    assert len(calls) == 2


def test_every_real_session_comes_with_every_topic_that_is_there(
    f1_data: Path, tmp_path: Path
) -> None:
    root = f1_data / "livetiming"
    paths = sorted(
        str(path.parent.relative_to(root)) for path in root.rglob("SessionInfo.jsonStream")
    )

    def make(settings: Settings) -> list[TimingIngestor]:
        return [TimingIngestor(settings, Archive(settings, Wanted(paths=tuple(paths))))]

    served = Served(root)
    (first,), (second,) = run(served, tmp_path, make, times=2)
    assert (first.status, second.status) == ("fetched", "unchanged")
    assert len(first.outcomes) == len(paths)
    for outcome in first.outcomes:
        folder = root / outcome.resource.url.split("/static/")[1]
        there = {path.name: path.read_bytes() for path in folder.glob("*.jsonStream")}
        came = {
            item.name: item.path.read_bytes()
            for item in outcome.artifacts
            if item.name != "session.json"
        }
        assert came == there
        missing = SessionFile.read(outcome.artifacts[-1].path).missing
        assert {f"{topic}.jsonStream" for topic in missing}.isdisjoint(there)
    after = served.seen[served.seen.index(("", "end")) :]
    assert all(
        path.endswith("/SessionInfo.jsonStream") for method, path in after if method == "GET"
    )


def test_sessions_of_real_seasons_that_are_not_there_are_no_failures(
    f1_data: Path, tmp_path: Path
) -> None:
    def make(settings: Settings) -> list[SafetyCarIngestor]:
        wanted = Wanted(
            years=(2019,),
            sessions=("2019-09-07_italian_qualifying", "2019-03-17_australian_race"),
        )
        return [SafetyCarIngestor(settings, Archive(settings, wanted))]

    ((result,),) = run(Served(f1_data / "livetiming"), tmp_path, make)
    assert result.status == "fetched"
    available = {
        outcome.resource.labels["session"]: SessionFile.read(outcome.artifacts[-1].path).available
        for outcome in result.outcomes
    }
    assert available == {
        "2019-03-17_australian_race": False,
        "2019-09-07_italian_qualifying": True,
    }
