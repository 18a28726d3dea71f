# SPDX-License-Identifier: Apache-2.0
"""broker status and lanes: what an operator is told while all is well, and while it is not."""
import json
import signal
import subprocess

import pytest
import requests

from harness.broker import Broker
from harness.service import Server, binary, environment, run
from harness.waiting import wait_for

CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"
NOBODY = "01a20e72-2b15-7370-8c75-b0a11a1b00a5"


def settings_of(server: Server, broker_url: str) -> dict[str, str]:
    return {"ADMIN_LISTEN": server.admin_url.removeprefix("http://"), "RABBIT_MQ_URL": broker_url,
            "DATABASE_URL": f"sqlite:{server.database}"}


def status(server: Server, broker_url: str, code: int = 0) -> dict:
    done = run("broker", "status", "--json", **settings_of(server, broker_url))
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_status_of_a_service_that_is_well(server: Server, broker: Broker) -> None:
    server.await_log(event="publishing")
    for i in range(3):
        assert server.create(f"ada{i}@example.org").status_code == 200
    server.await_drained()
    told = wait_for(lambda: (lambda s: s if s["bridges"][0]["confirmed"] == 3 else None)(status(server, broker.url)),
                    "the bridge's report")
    assert told["running"] is True and told["broker"]["answers"] is True
    assert told["outbox"]["events"] == 0 and told["outbox"]["oldest_age_s"] is None
    assert told["bridges"][0]["state"] == "publishing" and told["bridges"][0]["blocked"] is False
    assert told["broker"]["queues"]["user"] == {"messages": 3, "consumers": 0}
    assert told["broker"]["queues"]["user.dead"]["messages"] == 0
    text = run("broker", "status", **settings_of(server, broker.url)).stdout
    assert "publishing" in text and "user: 3 messages" in text and "0 in quarantine" in text


def test_status_while_the_broker_is_down(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=CLOSED_PORT_URL)
    server.create("ada@example.org")
    told = status(server, CLOSED_PORT_URL)
    assert told["running"] is True and told["broker"]["answers"] is False
    assert told["outbox"]["events"] == 1 and told["outbox"]["oldest_age_s"] >= 0
    assert "does not answer" in run("broker", "status", **settings_of(server, CLOSED_PORT_URL)).stdout


def test_status_of_a_service_that_is_not_there(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=CLOSED_PORT_URL)
    server.create("ada@example.org")
    server.request("GET", "/users/ada@example.org")
    server.stop()
    told = status(server, broker.url, 69)
    assert told["running"] is False and told["outbox"]["events"] == 2 and told["broker"]["answers"] is True
    done = run("broker", "status", **settings_of(server, broker.url))
    assert done.returncode == 69
    assert "nobody answers" in done.stderr and "2 events" in done.stdout


def test_watch_ends_when_interrupted(server: Server, broker: Broker) -> None:
    # a shell's background job, as this may run in, has SIGINT ignored, and so would its children
    process = subprocess.Popen([binary(), "broker", "status", "--watch", "--json"], text=True,
                               env=environment(settings_of(server, broker.url)), stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert all(json.loads(process.stdout.readline())["running"] for _ in range(2))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    process.stdout.close()


def test_lanes(server: Server, broker: Broker) -> None:
    settings = settings_of(server, broker.url)
    done = run("broker", "lanes", "list", "--json", **settings)
    assert done.returncode == 0 and json.loads(done.stdout) == {"lanes": [], "total": 0}
    assert run("broker", "lanes", "release", "--all", **settings).returncode == 0
    for verb in ("release", "discard"):
        done = run("broker", "lanes", verb, "--user", NOBODY, **settings)
        assert done.returncode == 70 and "404" in done.stderr
        for arguments in ((), ("--user", "me"), ("--user", NOBODY, "--all")):
            assert run("broker", "lanes", verb, *arguments, **settings).returncode == 64


@pytest.mark.parametrize("headers, code", [
    ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
    ({"Content-Type": "application/json", "Host": "evil.example"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/json"}, 200)])
def test_no_web_page_can_release(server: Server, headers: dict[str, str], code: int) -> None:
    done = requests.post(f"{server.admin_url}/lanes/release", data='{"all": true}', headers=headers, timeout=30)
    assert done.status_code == code
    assert requests.get(f"{server.url}/lanes", timeout=30).status_code == 404  # of the API's listener


def test_no_web_page_can_look(server: Server) -> None:
    for path in ("/status", "/lanes"):
        assert requests.get(server.admin_url + path, timeout=30).status_code == 200
        assert requests.get(server.admin_url + path, headers={"Host": "evil.example"}, timeout=30).status_code == 403
        assert requests.get(server.admin_url + path, headers={"Origin": "null"}, timeout=30).status_code == 403
