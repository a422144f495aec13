"""A disk of its own for one child: a tmpfs of some size in a mount namespace, which nobody else sees and which ends
with the child. Works without being root where user namespaces are allowed."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.children import Child, Marks, fork
from tests.faults.campaign.tiny import Shop

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REC, MS_PRIVATE = 1, 1 << 14, 1 << 18
PAGE = 4096
BALLAST = "ballast"


@dataclass(frozen=True)
class Disk:
    """Where it is mounted while the child lives, and what was on it when the child's work was done."""

    place: Path
    kept: Path


def on_small_disk(room: Path, size: int, work: Callable[[Disk], int], *, read_only: bool = False) -> Child:
    """Runs `work` in a child that has a disk of `size` bytes at `room/disk`; then what lies there is in `room/kept`."""
    disk = Disk(room / "disk", room / "kept")
    disk.place.mkdir()

    def action(marks: Marks) -> int:
        _mount(disk.place, size, read_only)
        code = work(disk)
        shutil.copytree(disk.place, disk.kept, symlinks=True, ignore=shutil.ignore_patterns(BALLAST))
        return code

    child = fork(action, room / "disk.said")
    child.wait()
    return child


def fill(place: Path, leaving: int) -> Path:
    """Writes a file beside everything else that leaves so many bytes free."""
    ballast = place / BALLAST
    there = os.statvfs(place)
    taken = there.f_bavail * there.f_frsize - leaving
    if taken > 0:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken // PAGE * PAGE)
    return ballast


@functools.cache
def refusal(shop: Shop) -> str | None:
    """Why there are no small disks here; None where there are."""
    child = on_small_disk(
        shop.room("disk"), 1 << 20, lambda disk: int(os.statvfs(disk.place).f_blocks * PAGE > 1 << 20)
    )
    return None if child.code == 0 else f"no file system may be mounted: {child.said.strip().splitlines()[-1:]}"


def _mount(place: Path, size: int, read_only: bool) -> None:
    user, group = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    options = f"size={max(size, PAGE)}".encode()
    _call("mount", b"tmpfs", os.fsencode(place), b"tmpfs", MS_RDONLY if read_only else 0, options)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_ulong(each) if isinstance(each, int) and name == "mount" else each for each in arguments]
    if getattr(libc, name)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
