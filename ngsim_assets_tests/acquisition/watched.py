"""A watched folder of texts to take in, whose first word names their partition."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile, Share
from ngsim_assets.acquisition.incremental import Changes, Gone, IncrementalLoader, Loaded, Postponed
from ngsim_assets.acquisition.landing import LandingZone, absolute
from ngsim_assets.acquisition.listing import FileState, time_at
from ngsim_assets.errors import NgsimAssetsError

Result = str | NgsimAssetsError


@dataclass
class Watched:
    """A folder, its landing zone and a taker of texts: the first word names the partition."""

    root: Path
    landing: LandingZone
    now: int | None = None
    slept: list[float] = field(default_factory=list[float])
    read: list[str] = field(default_factory=list[str])
    on_read: Callable[[Path], None] = lambda path: None

    def loader(self, settle: float = 0, **options: str) -> IncrementalLoader:
        return IncrementalLoader(
            self.root,
            LandingZone(self.landing.root),
            settle=settle,
            aside=self.root.parent / "rejected",
            options=options,
            clock=lambda folder: time_at(folder) if self.now is None else self.now,
            sleep=self.slept.append,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def take(self, path: Path) -> Iterator[Result]:
        self.read.append(path.name)
        text = path.read_text()
        self.on_read(path)
        if not text.strip() or text.startswith("bad"):
            error = NgsimAssetsError(f"{path}: no good", "write another")
            self.landing.reject(path, error)
            yield error
            return
        state = FileState.of(path)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        place = Claim(absolute(path), None, *state[:2], sha256, 0, *state[2:])
        content = Content(1, (int(sha256[:12], 16), 1))
        file = DeliveredFile(
            name=path.name,
            sha256=sha256,
            size=len(text),
            columns=(),
            rows=1,
            partitions={text.split()[0]: Share(1, content, ("part",))},
            unassigned=None,
            options={},
            claims=(place,),
        )
        with self.landing.staging() as staging:
            (staging.folder / "part").write_text(text)
            with self.landing.changing() as change:
                same = change.holdings.of_content(sha256)
                if same:
                    change.claim(same[0], place)
                else:
                    change.promote(staging, file)
        yield text

    def load(self, settle: float = 0) -> list[Loaded[Result] | Gone | Postponed]:
        self.read.clear()
        return list(self.loader(settle).load(self.take, refusal))

    def changes(self, settle: float = 0) -> Changes:
        return self.loader(settle).changes()

    @property
    def journal(self) -> Path:
        (path,) = (self.landing.root / "checkpoints").glob("*.jsonl")
        return path

    def live(self) -> dict[str, str]:
        """Text by path, of everything the landing zone holds."""
        return {
            claim.path: (self.landing.root / "files" / file.folder / "part").read_text()
            for file in self.landing.files()
            for claim in file.claims
        }


def refusal(result: Result) -> NgsimAssetsError | None:
    return result if isinstance(result, NgsimAssetsError) else None
