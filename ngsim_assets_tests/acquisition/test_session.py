"""What a source can do for a resource: ask, download, keep, go on with what was under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.acquisition.session import Session
from ngsim_assets.acquisition.sources import Artifact, AsyncDataSource, Description, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer.responses import host_of
from ngsim_assets_tests.acquisition.shelves import FastClock, Shelf, Watcher, quick, rows

Fetch = Callable[[Session, Resource], AsyncIterator[Artifact]]
Describe = Callable[[Session, Resource], Awaitable[Description]]


async def _unknown(session: Session, resource: Resource) -> Description:
    return Description(version="1")


class Made(AsyncDataSource):
    """A source of one resource, which is fetched as the test says."""

    name = "made"

    def __init__(self, url: str, fetch: Fetch, describe: Describe = _unknown) -> None:
        self.resource = Resource("made", "us-101/zip", url, {"highway": "us-101"})
        self._fetch = fetch
        self._describe = describe

    async def discover(self, session: Session) -> AsyncIterator[Resource]:
        yield self.resource

    async def describe(self, session: Session, resource: Resource) -> Description:
        return await self._describe(session, resource)

    async def fetch(
        self, session: Session, resource: Resource, description: Description
    ) -> AsyncIterator[Artifact]:
        async for artifact in self._fetch(session, resource):
            yield artifact


async def ran(data: Path, source: AsyncDataSource, **overrides: object) -> IngestionResult:
    """The result of `source`, waits taking no time."""
    pipeline = AsyncETLPipeline(quick(data, **overrides), clock=FastClock().clock())
    (result,) = await pipeline.run([source])
    return result


def test_a_file_made_of_others_is_kept_with_its_rows(tmp_path: Path) -> None:
    def put_together(path: Path) -> int:
        path.write_bytes(b"page 1\npage 2\n")
        return 2

    async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
        yield await session.keep(resource, "pages.csv", put_together, url=resource.url)
        member = session.workplace(resource) / "member"
        member.write_bytes(b"inside")
        yield await session.keep(resource, "member.txt", member, url=resource.url, rows=1)
        assert not member.exists()

    result = asyncio.run(ran(tmp_path, Made("https://example.org/a?app_token=hidden", fetch)))
    assert result.status == "fetched"
    pages, member = result.artifacts
    assert (pages.rows, member.rows, result.rows) == (2, 1, 3)
    assert pages.path.read_bytes() == b"page 1\npage 2\n"
    assert member.path.read_bytes() == b"inside"
    assert pages.version == member.version == "1"
    assert "hidden" not in pages.url
    assert list((tmp_path / "downloads" / "parts").iterdir()) == []


def test_a_download_of_a_resource_that_was_not_complete_is_not_asked_for_again(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        shelf = Shelf({"a.csv": rows(1), "b.csv": rows(2)})
        fails = [True]

        async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
            for name in shelf.files:
                yield await session.download(resource, f"{resource.url}/files/{name}", name=name)
                if fails.pop() if fails else False:
                    raise OSError("unpacking failed")

        async with shelf.open():
            broken = await ran(tmp_path, Made(shelf.url, fetch))
            # nobody names the file yet, and it is not swept for that
            DownloadStore(tmp_path / "downloads").sweep(unnamed_for=-1)
            whole = await ran(tmp_path, Made(shelf.url, fetch))
            assert (broken.status, whole.status) == ("failed", "fetched")
            assert {item.name: item.path.read_bytes() for item in whole.artifacts} == shelf.files
            assert shelf.gets == ["/files/a.csv", "/files/b.csv"]

            fails.append(True)

            async def other(session: Session, resource: Resource) -> Description:
                return Description(version="2")

            await ran(tmp_path, Made(shelf.url, fetch, other))
            await ran(tmp_path, Made(shelf.url, fetch))  # of version 1: what is held
            assert shelf.gets[2:] == ["/files/a.csv"]

    asyncio.run(scene())


def test_what_is_under_way_survives_a_failure_but_not_another_version(tmp_path: Path) -> None:
    version = ["1"]

    async def describe(session: Session, resource: Resource) -> Description:
        return Description(version=version[0])

    async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
        page = session.workplace(resource) / "page"
        before = page.read_text() if page.exists() else ""
        page.write_text(before + version[0])
        if len(before) < 1:
            raise OSError("cut off")
        yield await session.keep(resource, "pages.csv", page, url=resource.url)

    async def scene() -> None:
        source = Made("https://example.org", fetch, describe)
        assert (await ran(tmp_path, source)).status == "failed"
        version[0] = "2"
        assert (await ran(tmp_path, source)).status == "failed"
        result = await ran(tmp_path, source)
        assert result.artifacts[0].path.read_text() == "22"

    asyncio.run(scene())


def test_bytes_of_pages_and_warnings_are_told(tmp_path: Path) -> None:
    async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
        await session.begin(resource, "vehicles 1 to 250")
        await session.progress(resource, "vehicles 1 to 250", 700)
        await session.progress(resource, "vehicles 1 to 250", 1_000, 1_000)
        await session.warn(resource, "3 rows came twice")
        yield await session.keep(
            resource, "a.csv", lambda path: path.write_bytes(b"x") and None, url=resource.url
        )

    async def scene() -> None:
        watcher = Watcher()
        pipeline = AsyncETLPipeline(quick(tmp_path), observers=[watcher])
        (result,) = await pipeline.run([Made("https://example.org", fetch)])
        assert result.bytes == 1_000
        assert result.warnings == ("us-101/zip: 3 rows came twice",)
        assert "Warned" in {type(event).__name__ for event in watcher.events}

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("headers", "version", "size"),
    [
        ({"ETag": '"v1"', "Last-Modified": "Sat, 28 Nov 2026 21:00:00 GMT"}, '"v1"', 3),
        ({"ETag": 'W/"v1"'}, 'W/"v1"', 3),
        ({"Last-Modified": "Sat, 28 Nov 2026 21:00:00 GMT"}, "Sat, 28 Nov 2026 21:00:00 GMT 3", 3),
        ({}, "", 3),
    ],
)
def test_a_look_tells_version_and_size_without_the_body(
    tmp_path: Path, headers: dict[str, str], version: str, size: int
) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.method == "HEAD"
        return web.Response(body=b"abc", headers=headers)

    seen: list[Description] = []

    async def describe(session: Session, resource: Resource) -> Description:
        seen.append(await session.look(resource))
        return seen[-1]

    async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
        yield await session.keep(
            resource, "a", lambda path: path.write_bytes(b"abc") and None, url=resource.url
        )

    async def scene() -> None:
        async with served(answer) as url:
            result = await ran(tmp_path, Made(url, fetch, describe))
        assert result.status == "fetched"

    asyncio.run(scene())
    assert [(item.version, item.size) for item in seen] == [(version, size)]


def test_a_secret_goes_to_its_host_only_and_is_written_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.path, request.headers.get("X-App-Token")))
        if request.path == "/page":
            return web.json_response({"at": [1]})
        if request.path == "/refused":
            return web.Response(status=403, text=f"bad token {request.headers['X-App-Token']}")
        return web.Response(body=b"a,b\n", headers={"Set-Cookie": "id=t0ken-of-mine"})

    async def scene() -> None:
        async with served(answer) as url, served(answer) as elsewhere:

            async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
                page = await session.get_json(resource, f"{url}/page")
                assert page == {"at": [1]}
                other = await session.get(resource, f"{elsewhere}/other", params={"a": "b"})
                assert other.body == b"a,b\n"
                yield await session.download(resource, f"{url}/file", name="a.csv")
                await session.get(resource, f"{url}/refused")

            class WithSecret(Made):
                def secrets(self) -> dict[str, dict[str, SecretStr]]:
                    return {host_of(url): {"X-App-Token": SecretStr("t0ken-of-mine")}}

            result = await ran(tmp_path, WithSecret(url, fetch))
        (error,) = result.errors
        assert "status 403" in str(error)
        assert "t0ken" not in str(result.summary()) + str(error) + result.sentence()

    asyncio.run(scene())
    assert got == [
        ("/page", "t0ken-of-mine"),
        ("/other", None),
        ("/file", "t0ken-of-mine"),
        ("/refused", "t0ken-of-mine"),
    ]
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"t0ken" not in path.read_bytes()
    assert "t0ken" not in "".join(capsys.readouterr())


def test_files_are_fetched_in_their_place_only(tmp_path: Path) -> None:
    class Early(Made):
        async def discover(self, session: Session) -> AsyncIterator[Resource]:
            await session.download(self.resource, self.resource.url, name="a.csv")
            yield self.resource

    async def fetch(session: Session, resource: Resource) -> AsyncIterator[Artifact]:
        for artifact in ():
            yield artifact

    result = asyncio.run(ran(tmp_path, Early("https://example.org", fetch)))
    assert result.status == "failed"
    assert "files are fetched by `fetch`" in result.errors[0].problem
    assert not (tmp_path / "downloads").exists()


class served:  # noqa: N801 - reads as a verb
    """`answer` under every path of a free port of this machine."""

    def __init__(self, answer: Callable[[web.Request], Awaitable[web.Response]]) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
