# SPDX-License-Identifier: Apache-2.0
"""verify: complete when all is done, on the way when it is not, and the very ids when some are gone."""
import json
import sqlite3
import subprocess

from harness.broker import Broker
from harness.service import Server, Worker, binary, environment, run
from harness.waiting import wait_for


def verify_run(server: Server, broker_url: str, *arguments: str) -> subprocess.CompletedProcess:
    return run("verify", *arguments, RABBIT_MQ_URL=broker_url, DATABASE_URL=f"sqlite:{server.database}",
               CONSUMER_DATABASE_URL=server.settings["CONSUMER_DATABASE_URL"] if
               "CONSUMER_DATABASE_URL" in server.settings else f"sqlite:{server.database.parent}/consumer.db")


def verify(server: Server, broker_url: str, *arguments: str, code: int = 0) -> dict:
    done = verify_run(server, broker_url, "--json", *arguments)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def fill(server: Server) -> list[str]:
    """Ten events, confirmed."""
    for user in range(5):
        server.create(f"u{user}@example.org")
        server.request("GET", f"/users/u{user}@example.org")
    server.await_drained()
    return [row[0] for row in server.query("SELECT lower(hex(id)) FROM event ORDER BY position")]


def dashed(hex_id: str) -> str:
    return "-".join((hex_id[:8], hex_id[8:12], hex_id[12:16], hex_id[16:20], hex_id[20:]))


def test_complete(server: Server, worker: Worker, broker: Broker) -> None:
    assert verify(server, broker.url)["verdict"] == "complete"
    fill(server)
    told = verify(server, broker.url)
    assert told["verdict"] == "complete" and told["missing_ids"] == []
    assert told["totals"]["stored"] == told["totals"]["confirmed"] == told["totals"]["processed"] == 10
    assert sum(row["stored"] for row in told["hours"]) == 10
    assert {row["type"] for row in told["hours"]} == {"user.create", "user.read"}
    table = verify_run(server, broker.url).stdout
    assert "user.create" in table and "in all" in table
    assert verify(server, broker.url, "--from", "2100-01-01")["totals"]["stored"] == 0
    assert verify(server, broker.url, "--to", "2100-01-01")["totals"]["stored"] == 10


def test_exactly_the_missing_row_is_printed(server: Server, worker: Worker, broker: Broker) -> None:
    ids = [dashed(id_) for id_ in fill(server)]
    assert verify(server, broker.url)["verdict"] == "complete"
    with sqlite3.connect(worker.database, timeout=30) as database:
        assert database.execute("DELETE FROM inbox WHERE message_id = ?", (ids[3],)).rowcount == 1
    database.close()
    told = verify(server, broker.url, code=70)
    assert told["missing_ids"] == [ids[3]] and told["missing"] == 1
    done = verify_run(server, broker.url)
    assert done.returncode == 70
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("missing ")] == [ids[3]]


def test_a_message_taken_from_the_queue(server: Server, start, broker: Broker) -> None:
    ids = [dashed(id_) for id_ in fill(server)]
    worker = start(Worker, RABBIT_MQ_URL="amqp://guest:guest@127.0.0.1:1/", wait=False)  # makes its database
    wait_for(worker.database.exists, "the worker's database")
    worker.await_log(event="cannot_consume")
    worker.stop()
    told = verify(server, broker.url, "--wait", "0", code=75)
    assert told["verdict"] == "on the way" and told["totals"]["unseen"] == 10
    stolen = broker.take(1)[0].properties.message_id
    wait_for(lambda: broker.depth() == 9, "nine messages")
    told = verify(server, broker.url, "--wait", "0", code=70)
    assert told["missing"] == 1 and told["missing_ids"] == []  # nine of the ten are there, nobody knows which
    start(Worker, RABBIT_MQ_URL=broker.url)
    assert verify(server, broker.url, "--wait", "30", code=70)["missing_ids"] == [stolen]
    assert stolen in ids
    done = run("broker", "replay", "--from", "2020-01-01", "--to", "2100-01-01", RABBIT_MQ_URL=broker.url,
               DATABASE_URL=f"sqlite:{server.database}")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: verify_run(server, broker.url).returncode == 0, "nothing missing")


def test_what_waits_for_the_broker(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL="amqp://guest:guest@127.0.0.1:1/")
    server.create("ada@example.org")
    start(Worker, RABBIT_MQ_URL=broker.url)
    told = verify(server, broker.url, "--wait", "0", code=75)
    assert told["totals"]["unsent"] == 1 and told["totals"]["confirmed"] == 0
    server.stop()
    process = subprocess.Popen([binary(), "verify", "--json", "--wait", "60"], text=True, stdout=subprocess.PIPE,
                               env=environment({"RABBIT_MQ_URL": broker.url,
                                                "DATABASE_URL": f"sqlite:{server.database}",
                                                "CONSUMER_DATABASE_URL": f"sqlite:{server.database.parent}/consumer.db"}))
    start(Server, RABBIT_MQ_URL=broker.url)  # it is waited for
    told = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0 and told["totals"]["processed"] == 1


def test_errors(server: Server, broker: Broker) -> None:
    done = verify_run(server, broker.url)
    assert done.returncode == 78 and "userbus broker start" in done.stderr  # no worker ever ran
    assert verify_run(server, broker.url, "--wait", "x").returncode == 64
    assert verify_run(server, broker.url, "--from", "x").returncode == 64
