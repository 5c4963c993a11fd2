"""The simulated kernel forgets what a real disk may forget; and what the product asks of it is enough."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from events import disk
from events.spool import Spool, file_name, header, record
from runtime.errors import Unreachable
from tests.entries import STREAM, entries
from tests.simulation.kernel import Disk, Kernel, booted

FOLDER = Path("/data/spool") / STREAM
T = TypeVar("T")


class Forgetful(random.Random):
    """Dice that leave as little as they may."""

    def choice(self, seq: "list[T] | tuple[T, ...]") -> T:  # type: ignore[override]  # asked with these alone
        return seq[0]

    def random(self) -> float:
        return 0.5


@pytest.fixture
def home() -> Disk:
    """Give a disk that everything here is written to."""
    return Disk()


@pytest.fixture(autouse=True)
def kernel(home: Disk) -> Iterator[Kernel]:
    """Give the kernel above it, which everything here asks."""
    kernel = Kernel(lambda: home, lambda: None, random.Random("kernel"))
    with booted(kernel):
        yield kernel


def power_cut(home: Disk) -> None:
    home.handles.clear()
    home.lose_power(Forgetful())


def test_what_was_not_synced_is_gone(home: Disk) -> None:
    disk.make_folder(FOLDER)
    disk.create(FOLDER / "one", b"kept")
    handle = disk.open_end(FOLDER / "one")
    disk.append(handle, b" and lost", FOLDER / "one")
    assert disk.read(FOLDER / "one") == b"kept and lost"
    power_cut(home)
    assert disk.read(FOLDER / "one") == b"kept"


def test_what_was_synced_is_kept(home: Disk) -> None:
    disk.make_folder(FOLDER)
    disk.create(FOLDER / "one", b"kept")
    handle = disk.open_end(FOLDER / "one")
    disk.append(handle, b" too", FOLDER / "one")
    disk.sync(handle)
    disk.create(FOLDER / "two", b"second")
    disk.remove(FOLDER / "two")
    power_cut(home)
    assert disk.names(FOLDER) == ["one"]
    assert disk.read(FOLDER / "one") == b"kept too"


def test_a_name_that_nobody_synced_is_gone_and_so_is_all_below_it(home: Disk, kernel: Kernel) -> None:
    disk.make_folder(FOLDER)
    kernel.mkdir(FOLDER / "late")
    disk.create(FOLDER / "late" / "one", b"synced, in a folder that was not")
    power_cut(home)
    assert disk.names(FOLDER) == []


def test_a_folder_whose_maker_was_killed_before_he_synced_it_is_made_durable(home: Disk, kernel: Kernel) -> None:
    disk.make_folder(FOLDER.parent)
    kernel.mkdir(FOLDER)
    disk.make_folder(FOLDER)
    disk.create(FOLDER / "one", b"kept")
    power_cut(home)
    assert disk.names(FOLDER) == ["one"]


def test_a_spool_file_whose_maker_was_killed_before_he_synced_its_name_is_made_durable(
    home: Disk, kernel: Kernel
) -> None:
    disk.make_folder(FOLDER)
    content = header(STREAM, 1) + record(entries(1, 1)[0], opens_commit=True)
    disk.create(FOLDER / "elsewhere", content)
    kernel.replace(FOLDER / "elsewhere", FOLDER / file_name(1))
    spool = Spool(FOLDER, STREAM)
    assert spool.load()
    assert spool.last == 1
    power_cut(home)
    assert file_name(1) in disk.names(FOLDER)


def test_a_start_on_a_full_disk_says_so(home: Disk) -> None:
    disk.make_folder(FOLDER)
    home.room = 0
    with pytest.raises(Unreachable, match="room"):
        Spool(FOLDER, STREAM)
