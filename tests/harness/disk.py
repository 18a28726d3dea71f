# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, and system calls that fail: what a test needs root and strace for. Whatever cannot be
set up raises, so that a test never passes for want of its fault."""
import errno
import os
import pathlib
import re
import signal
import subprocess

from .waiting import wait_for


class SmallDisk:
    """A tmpfs of a few megabytes."""

    def __init__(self, folder: pathlib.Path, size: str) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "userbus-test", str(folder)], check=True)

    def fill(self) -> None:
        """To the last page; other writers may be faster, so it ends when nothing at all fits."""
        with open(self.ballast, "ab", buffering=0) as ballast:
            try:
                while ballast.write(b"x" * 4096):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def free_bytes(self) -> int:
        usage = os.statvfs(self.folder)
        return usage.f_bavail * usage.f_bsize

    def make_room(self) -> None:
        self.ballast.unlink()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class Injection:
    """strace in a running process: `inject` as its -e inject takes it, for calls on `path` only."""

    def __init__(self, pid: int, inject: str, path: pathlib.Path) -> None:
        self.log_path = path.with_name(f"strace-{pid}-{path.name}.log")
        calls = inject.split(":")[0]
        self.process = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(self.log_path), "-P", str(path), "-e", f"trace={calls}",
             "-e", f"inject={inject}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        while "attached" not in line:
            if line == "":
                raise RuntimeError("strace could not attach")
            line = self.process.stderr.readline()

    def hits(self) -> int:
        """Calls that were made to fail."""
        return len(re.findall(r"\((?:INJECTED|DELAYED)\)", self.log_path.read_text()))

    def await_hit(self) -> None:
        wait_for(lambda: self.hits() > 0, "a call to fail", 60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.process.stderr.close()
