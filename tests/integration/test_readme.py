# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what happens: its commands are run, and what they print is compared."""
import os
import pathlib
import re
import signal
import subprocess

import pytest
import requests

from harness.broker import ROOT, Broker
from harness.service import STOP_SECONDS
from harness.waiting import wait_for

pytestmark = pytest.mark.xdist_group("readme")  # the port that the README names is one

README = (ROOT / "README.md").read_text()
BUILD_SECONDS = 300
# What differs from run to run.
VARYING = ((re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
           (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"), "TIME"))


def blocks() -> list[str]:
    return re.findall(r"^```console\n(.*?)^```", README, re.S | re.M)


def settled(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


def environment(folder, broker: Broker) -> dict[str, str]:
    return os.environ | {"RABBIT_MQ_URL": broker.url, "DATABASE_URL": f"sqlite:{folder}/users.db",
                         "CONSUMER_DATABASE_URL": f"sqlite:{folder}/worker.db", "LISTEN": "127.0.0.1:5000"}


@pytest.fixture
def running(folder, broker: Broker):
    """scripts/run, as the README says, on the port that its calls name."""
    with open(folder / "run.log", "wb") as log:
        process = subprocess.Popen([ROOT / "scripts" / "run"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env=environment(folder, broker), start_new_session=True)
    try:
        wait_for(lambda: "is ready at" in (folder / "run.log").read_text(), "scripts/run", BUILD_SECONDS)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(2 * STOP_SECONDS)
        print((folder / "run.log").read_text()[-5000:])
    assert code == 0


def run_block(block: str, folder, broker: Broker) -> str:
    """The block as it would look now."""
    shown = []
    for line in block.splitlines():
        if line.startswith("$ "):
            command = line[2:].replace("CONSUMER_DATABASE_URL=sqlite:run/userbus-consumer.db ", "")
            done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment(folder, broker), check=True,
                                  text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            shown.append(line + "\n" + done.stdout.rstrip("\n"))
    return "\n".join(shown) + "\n"


def test_the_first_user(running: subprocess.Popen, folder, broker: Broker) -> None:
    calls, tapped, reported = blocks()
    with open(folder / "tap.out", "wb") as out:
        tap = subprocess.Popen([ROOT / "examples" / "tap.py"], stdout=out, env=environment(folder, broker))
    try:
        wait_for(lambda: "waiting" in (folder / "tap.out").read_text(), "the tap")
        assert settled(run_block(calls, folder, broker)) == settled(calls)
        wait_for(lambda: settled((folder / "tap.out").read_text()) == settled(tapped), "the events as shown", 60)
        wait_for(lambda: settled(run_block(reported, folder, broker)) == settled(reported), "the report as shown", 60)
    finally:
        tap.kill()
        tap.wait()


def processes_of(folder) -> list[str]:
    """All whose settings name the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"sqlite:{folder}/users.db".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # it has ended
    return found


def test_a_stopped_run_leaves_nothing(running: subprocess.Popen, folder) -> None:
    assert requests.get("http://127.0.0.1:5000/readyz").status_code == 200
    assert len(processes_of(folder)) >= 3  # the script, the server, the worker
    running.send_signal(signal.SIGTERM)
    assert running.wait(2 * STOP_SECONDS) == 0
    assert processes_of(folder) == []
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:5000/livez")


def test_the_documents_that_it_names_are_there() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
