# SPDX-License-Identifier: Apache-2.0
"""Databases with many users, made once and kept outside of the repository."""
import hashlib
import os
import pathlib
import shutil
import subprocess

from . import PROGRAMS, ROOT

# What a stored database depends on; one that was made from others is not used.
SOURCES = ("actors/store/sqlite_schema.c", "actors/store/sqlite_late.c", "bench/fill.c", "proto/event.c")


def cache_folder() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "userbus-bench"


def path_of(users: int, events: int, folder: pathlib.Path) -> pathlib.Path:
    print_of = hashlib.sha256(b"".join((ROOT / source).read_bytes() for source in SOURCES)).hexdigest()[:8]
    return folder / f"users-{users}-events-{events}-{print_of}.db"


def make(users: int, events: int, folder: pathlib.Path | None = None) -> pathlib.Path:
    """The kept one, or a new one. It is to be copied, not used."""
    folder = folder or cache_folder()
    path = path_of(users, events, folder)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".begun")
    for old in folder.glob(f"{begun.name}*"):
        old.unlink()
    subprocess.run([PROGRAMS / "bench_fill", str(begun), str(users), str(events)], check=True)
    begun.rename(path)
    return path


def copy(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A copy under the name that a service expects; shares blocks where the file system can."""
    target = folder / "userbus.db"
    subprocess.run(["cp", "--reflink=auto", path, target], check=True)
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return target


def room_needed(users: int, events: int) -> float:
    """GiB, roughly: the kept one and a copy."""
    return 2 * (users * 270 + events * 500) / 2**30


def has_room(users: int, events: int, folder: pathlib.Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free / 2**30 > room_needed(users, events) + 5
