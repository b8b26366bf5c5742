"""Holders of one name take turns, those of different names need not; who dies holds nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Event, Thread

import pytest

from ngsim_assets.storage.locks import alone, held


def _entered(root: Path, name: str) -> tuple[Thread, Event]:
    """A thread that wants `name`, and whether it has it."""
    inside = Event()

    def write() -> None:
        with alone(root, name):
            inside.set()

    thread = Thread(target=write)
    thread.start()
    return thread, inside


def test_a_second_writer_of_a_subject_waits(tmp_path: Path) -> None:
    with alone(tmp_path, "early"):
        same, same_inside = _entered(tmp_path, "early")
        other, other_inside = _entered(tmp_path, "later")
        assert other_inside.wait(10)
        assert not same_inside.wait(0.2)
    assert same_inside.wait(10)
    same.join()
    other.join()


def test_one_that_failed_keeps_nobody_waiting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid"), alone(tmp_path, "early"):
        int("not a number")
    thread, inside = _entered(tmp_path, "early")
    assert inside.wait(10)
    thread.join()


def test_what_is_held_is_refused_and_taken_when_let_go(tmp_path: Path) -> None:
    path = tmp_path / "place" / "lock"
    lock = held(path)
    assert lock is not None
    assert held(path) is None
    os.close(lock)
    again = held(path)
    assert again is not None
    os.close(again)


def test_who_removes_what_he_holds_leaves_it_to_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "place" / "lock"
    first = held(path)
    assert first is not None
    shutil.rmtree(path.parent)
    second = held(path)  # another file of that name: nothing of the first holds it
    assert second is not None
    assert os.path.samestat(path.stat(), os.fstat(second))
    os.close(first)
    assert held(path) is None
    os.close(second)
