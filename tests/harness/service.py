# SPDX-License-Identifier: Apache-2.0
"""The userbus binary as a process: started, watched by its log, stopped."""
import os
import pathlib
import re
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import requests

from .broker import ROOT
from .waiting import wait_for

STOP_SECONDS = 25
FAULTS = ("AddressSanitizer", "runtime error:", "LeakSanitizer", "ThreadSanitizer", "invariant_broken")


def binary() -> str:
    return os.environ.get("USERBUS_BINARY", str(ROOT / "build" / "userbus"))


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Ours, less what would change the settings, plus these."""
    kept = ("PATH", "HOME", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
    return {key: os.environ[key] for key in kept if key in os.environ} | settings


def run(*arguments: str, seconds: float = 60, **settings: str) -> subprocess.CompletedProcess:
    """One command to its end; the output is text."""
    return subprocess.run([binary(), *arguments], env=environment(settings), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)


@dataclass
class LogLine:
    """A logfmt line."""

    fields: dict[str, str]

    @staticmethod
    def parse(line: str) -> "LogLine | None":
        if not line.startswith("ts="):
            return None
        fields = dict(pair.split("=", 1) for pair in shlex.split(line) if "=" in pair)
        return LogLine(fields)


class Process:
    """A running userbus. Its stderr goes to a file, which tells what happened."""

    def __init__(self, folder: pathlib.Path, name: str, *arguments: str,
                 program: str | None = None, prefix: Sequence[str] = (), **settings: str) -> None:
        """prefix: a command that execs the program, such as prlimit."""
        self.log_path = folder / f"{name}.log"
        self.out_path = folder / f"{name}.out"
        self.settings = settings
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log, open(self.out_path, "ab") as out:
            self.process = subprocess.Popen([*prefix, program or binary(), *arguments], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=log, env=environment(settings))

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_text(self) -> str:
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_lines(self, **wanted: str) -> list[LogLine]:
        """The whole lines that have these fields."""
        text = self.log_text()
        lines = [LogLine.parse(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if line is not None and
                all(line.fields.get(key) == value for key, value in wanted.items())]

    def await_log(self, seconds: float = 60, **wanted: str) -> LogLine:
        def look() -> LogLine | None:
            found = self.log_lines(**wanted)
            if not found and self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}:\n{self.log_text()}")
            return found[0] if found else None

        return wait_for(look, f"a log line with {wanted}", seconds)

    def or_kill(self, wait: Callable[[], object]) -> None:
        """One that does not come up is not left behind."""
        try:
            wait()
        except BaseException:
            print(self.log_text())
            self.kill()
            raise

    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def faults(self) -> list[str]:
        """What a sanitizer or an invariant had to say."""
        return [line for line in self.log_text().splitlines() if any(word in line for word in FAULTS)]

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server(Process):
    """`userbus runserver` on free ports."""

    def __init__(self, folder: pathlib.Path, *arguments: str, program: str | None = None,
                 prefix: Sequence[str] = (), wait: bool = True, **settings: str) -> None:
        url = settings.get("DATABASE_URL", f"sqlite:{folder / 'userbus.db'}")
        self.database = pathlib.Path(url.removeprefix("sqlite:"))
        defaults = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0",
                    "DATABASE_URL": f"sqlite:{self.database}",
                    "CONSUMER_DATABASE_URL": f"sqlite:{folder / 'consumer.db'}"}
        super().__init__(folder, "server", "runserver", *arguments, program=program, prefix=prefix,
                         **(defaults | settings))
        self.url = self.admin_url = ""
        if wait:
            self.or_kill(self.await_ready)

    def await_ready(self) -> None:
        ready = self.await_log(event="ready")
        self.address = ready.fields["address"]
        self.host, port = self.address.rsplit(":", 1)
        self.port = int(port)
        self.url = f"http://{self.address}" + self.settings.get("BACKEND_API_PREFIX", "")
        self.admin_url = f"http://{ready.fields['admin']}"

    def request(self, method: str, path: str, **options) -> requests.Response:
        return requests.request(method, self.url + path, timeout=30, **options)

    def create(self, email: str, first_name: str = "Ada", last_name: str = "Lovelace",
               **options) -> requests.Response:
        body = {"email": email, "first_name": first_name, "last_name": last_name}
        return self.request("POST", "/users", json=body, **options)

    def query(self, sql: str) -> list[tuple]:
        """Reads the users' database beside the service."""
        return query(self.database, sql)

    def await_drained(self, seconds: float = 60) -> None:
        """Until the database says that every event is confirmed."""
        wait_for(lambda: unconfirmed(self.database) == 0, "an empty outbox", seconds, 0.05)


class Worker(Process):
    """`userbus broker start user`."""

    def __init__(self, folder: pathlib.Path, *arguments: str, program: str | None = None, wait: bool = True,
                 **settings: str) -> None:
        self.database = folder / "consumer.db"
        defaults = {"CONSUMER_DATABASE_URL": f"sqlite:{self.database}"}
        super().__init__(folder, "worker", "broker", "start", "user", *arguments, program=program,
                         **(defaults | settings))
        if wait:
            self.or_kill(lambda: self.await_log(event="consuming"))


def query(database: pathlib.Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def unconfirmed(database: pathlib.Path) -> int:
    """Events behind the position up to which all are confirmed."""
    low = query(database, "SELECT coalesce(max(confirmed), 0) FROM position WHERE partition = 64")[0][0]
    return query(database, f"SELECT count(*) FROM event WHERE position > {low}")[0][0]


UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
