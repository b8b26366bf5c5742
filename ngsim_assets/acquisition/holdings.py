"""Which delivery holds which path, found without looking at all of them.

Belongs here: the manifests in memory, by path, content and partition, kept up delivery by
delivery. Does not belong here: files, locks (landing.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile


class Holdings:
    """Deliveries by folder. Live are those that hold a path against all later claims.

    Attributes:
        unheld: folders of deliveries that no path holds any more.
        last_sequence, last_order: the highest of any delivery, of any claim.
    """

    def __init__(self, manifests: Mapping[str, DeliveredFile] | None = None) -> None:
        self._manifests: dict[str, DeliveredFile] = {}
        self._live: dict[str, DeliveredFile] = {}
        self._by_place: dict[tuple[str, str | None], dict[str, int]] = defaultdict(dict)
        self._by_path: dict[str, set[str]] = defaultdict(set)
        self._by_content: dict[str, set[str]] = defaultdict(set)
        self._by_packed: dict[str, set[str]] = defaultdict(set)
        self._by_size: dict[int, set[str]] = defaultdict(set)
        self._by_partition: dict[str, set[str]] = defaultdict(set)
        self._first: dict[str, DeliveredFile] = {}
        self._in_order: tuple[DeliveredFile, ...] | None = None
        self.unheld: set[str] = set()
        self.last_sequence = 0
        self.last_order = 0
        for folder, file in (manifests or {}).items():
            self._enter(folder, file)
        for folder in self._manifests:
            self._judge(folder)

    @property
    def files(self) -> tuple[DeliveredFile, ...]:
        """Live deliveries, with the claims they hold, in the order they came."""
        if self._in_order is None:
            self._in_order = tuple(sorted(self._live.values(), key=_sequence))
        return self._in_order

    @property
    def partitions(self) -> list[str]:
        """Partitions of which any live delivery holds rows, sorted."""
        return sorted(self._by_partition)

    def of_path(self, path: str) -> list[DeliveredFile]:
        """Live deliveries that `path` holds."""
        return self._those(self._by_path.get(path, ()))

    def of_content(self, sha256: str) -> list[DeliveredFile]:
        """Live deliveries of these bytes, unpacked."""
        return self._those(self._by_content.get(sha256, ()))

    def of_packed(self, sha256: str) -> list[DeliveredFile]:
        """Live deliveries held by a path whose file, as it lies there, has this hash."""
        return self._those(self._by_packed.get(sha256, ()))

    def has_size(self, size: int) -> bool:
        """Whether a path whose file has this size holds any live delivery."""
        return size in self._by_size

    def of_partition(self, partition: str) -> list[DeliveredFile]:
        """Live deliveries with rows of `partition`."""
        return self._those(self._by_partition.get(partition, ()))

    def firsts(self) -> Iterator[tuple[str, DeliveredFile]]:
        """Each partition with the live delivery of it that came first."""
        for partition, folders in self._by_partition.items():
            first = self._first.get(partition)
            if first is None:
                first = min((self._live[folder] for folder in folders), key=_sequence)
                self._first[partition] = first
            yield partition, first

    def still_delivers(self, partitions: Iterable[str]) -> frozenset[str]:
        """Those of `partitions` that live deliveries hold rows of."""
        return frozenset(key for key in partitions if key in self._by_partition)

    def put(self, folder: str, file: DeliveredFile | None) -> None:
        """The manifest of `folder` is `file` now; None: there is none any more."""
        places = {claim.place for claim in self._leave(folder)}
        if file is not None:
            self._enter(folder, file)
            places |= {claim.place for claim in file.claims}
            self._judge(folder)
        for other in {other for place in places for other in self._by_place[place]} - {folder}:
            self._judge(other)
        for place in places:
            if not self._by_place[place]:
                del self._by_place[place]
        self._in_order = None

    def _enter(self, folder: str, file: DeliveredFile) -> None:
        self._manifests[folder] = file
        self.last_sequence = max(self.last_sequence, file.sequence)
        for claim in file.claims:
            self._by_place[claim.place][folder] = claim.order
            self.last_order = max(self.last_order, claim.order)

    def _leave(self, folder: str) -> tuple[Claim, ...]:
        file = self._manifests.pop(folder, None)
        if file is None:
            return ()
        for claim in file.claims:
            self._by_place[claim.place].pop(folder, None)
        self._set_live(folder, None)
        self.unheld.discard(folder)
        return file.claims

    def _judge(self, folder: str) -> None:
        """Find out whether, and by which claims, the delivery of `folder` is live."""
        file = self._manifests[folder]
        held = tuple(c for c in file.claims if c.order == max(self._by_place[c.place].values()))
        if not held:
            self.unheld.add(folder)
            self._set_live(folder, None)
            return
        self.unheld.discard(folder)
        if len(held) == len(file.claims):
            self._set_live(folder, file)
        else:
            self._set_live(folder, replace(file, claims=held))

    def _set_live(self, folder: str, file: DeliveredFile | None) -> None:
        before = self._live.pop(folder, None)
        for changed in (before, file):
            for partition in changed.partitions if changed is not None else ():
                self._first.pop(partition, None)
        if before is not None:
            for index, key in self._keys(before):
                index[key].discard(folder)
                if not index[key]:
                    del index[key]
        if file is not None:
            self._live[folder] = file
            for index, key in self._keys(file):
                index[key].add(folder)
        self._in_order = None

    def _keys(self, file: DeliveredFile) -> Iterable[tuple[dict[object, set[str]], object]]:
        for index, keys in (
            (self._by_content, {file.sha256}),
            (self._by_path, {claim.path for claim in file.claims}),
            (self._by_packed, {claim.sha256 for claim in file.claims}),
            (self._by_size, {claim.size for claim in file.claims}),
            (self._by_partition, file.partitions.keys()),
        ):
            for key in keys:
                yield index, key  # pyright: ignore[reportReturnType]

    def _those(self, folders: Iterable[str]) -> list[DeliveredFile]:
        return sorted((self._live[folder] for folder in folders), key=_sequence)


def _sequence(file: DeliveredFile) -> int:
    return file.sequence
