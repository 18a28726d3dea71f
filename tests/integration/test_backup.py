# SPDX-License-Identifier: Apache-2.0
"""A backup made under load is whole and goes on as a service of its own; and what is wrong with a database is found."""
import json
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from harness import ledger
from harness.broker import Broker
from harness.load import Load
from harness.service import Server, query, run
from harness.waiting import wait_for

CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"


def check(database: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess:
    return run("check", "--database", *arguments, DATABASE_URL=f"sqlite:{database}",
               CONSUMER_DATABASE_URL=f"sqlite:{database.parent / 'no-worker.db'}")


def backup(database: pathlib.Path, to: pathlib.Path) -> subprocess.CompletedProcess:
    return run("backup", str(to), DATABASE_URL=f"sqlite:{database}")


def test_a_backup_under_load_goes_on_as_a_service(start, broker: Broker, folder: pathlib.Path) -> None:
    server = start(Server, RABBIT_MQ_URL=CLOSED_PORT_URL)  # so that the copy has every event to send
    load = Load(server.host, server.port, "backup", clients=4)
    wait_for(lambda: load.answered() > 500, "a load", 60)
    before = [answer for client in load.clients for answer in list(client.record.answers)]
    copy = folder / "copy.db"
    done = backup(server.database, copy)
    assert done.returncode == 0, done.stderr
    count = load.answered()
    wait_for(lambda: load.answered() > count + 100, "a load that goes on", 60)
    assert check(server.database).returncode == 0  # also under load
    for client in load.clients:
        client.stopping.set()
    records = load.join()
    sent = set().union(*(record.sent for record in records))

    assert copy.stat().st_mode & 0o777 == 0o600
    assert not copy.with_name("copy.db.partial").exists()
    done = check(copy)
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in folder.glob("copy.db*")) == ["copy.db"]
    total = query(server.database, "SELECT count(*) FROM event")[0][0]
    assert len(before) <= query(copy, "SELECT count(*) FROM event")[0][0] < total

    elsewhere = folder / "restored"
    elsewhere.mkdir()
    shutil.copy(copy, elsewhere / "userbus.db")
    server.kill()
    restored = start(Server, RABBIT_MQ_URL=broker.url, DATABASE_URL=f"sqlite:{elsewhere / 'userbus.db'}")
    answer = restored.create("after@example.org", headers={"X-Request-Id": "after"})
    assert answer.status_code == 200
    restored.await_drained()
    users = ledger.committed_users(restored.query("SELECT hex(id), sequence FROM user"))
    findings = ledger.audit(broker.drain(), before, sent | {"after"}, users)
    assert findings.clean() and findings.duplicates == 0, findings


def test_a_backup_overwrites_nothing(server: Server, folder: pathlib.Path) -> None:
    server.create("ada@example.org")
    copy = folder / "copy.db"
    copy.write_text("precious")
    done = backup(server.database, copy)
    assert done.returncode == 64 and "overwrites nothing" in done.stderr
    assert copy.read_text() == "precious"
    other = folder / "other.db"
    other.with_name("other.db.partial").write_text("at work")
    assert backup(server.database, other).returncode == 64
    assert not other.exists()


def test_a_backup_that_cannot_be_made(server: Server, folder: pathlib.Path) -> None:
    done = backup(server.database, folder / "none" / "copy.db")
    assert done.returncode == 75 and "No such file" in done.stderr
    done = backup(folder / "nothing.db", folder / "copy.db")
    assert done.returncode == 78 and "nothing.db" in done.stderr
    done = backup(folder / "consumer.db", folder / "copy.db")
    assert done.returncode == 78
    assert not list(folder.glob("copy.db*")) and not (folder / "nothing.db").exists()


PARKED = ("INSERT INTO parked SELECT NULL, partition, kind, {sequence}, user_id, id, created_us, request_id, traceparent,"
          " tracestate, body FROM event WHERE position = 1")
SABOTAGES = [
    ("DELETE FROM email WHERE row = 2", "not found by the email"),
    ("UPDATE account SET email_key = 'user1@example.org'", "that of 3 users"),
    ("INSERT INTO viewed (row, count) VALUES (77, 1)", "no user is there"),
    ("UPDATE position SET confirmed = 1000 WHERE partition < 64", "beyond the last event"),
    ("DELETE FROM event WHERE position = 2", "lacks 1 positions"),
    ("UPDATE event SET body = CAST('{' AS BLOB) WHERE position = 1", "event 1 is malformed"),
    ("UPDATE event SET partition = (partition + 1) % 64 WHERE position = 1", "event 1 is malformed"),
    ("UPDATE event SET sequence = 99 WHERE position = 3", "has sequence 99"),
    ("DELETE FROM account", "not there"),
    (PARKED.format(sequence="sequence"), "parked in no lane"),
    (PARKED.format(sequence="0"), "parked event in row 1 is malformed"),
    ("INSERT INTO parked_lane SELECT user_id, 7, 0, 0, 0, 0, 0, 0 FROM event WHERE position = 1", "in no known state"),
]


@pytest.mark.parametrize("sql, words", SABOTAGES, ids=[words for _, words in SABOTAGES])
def test_wrong_contents_are_found(server: Server, folder: pathlib.Path, sql: str, words: str) -> None:
    for i in range(3):
        assert server.create(f"user{i}@example.org").status_code == 200
    server.await_drained()
    wait_for(lambda: server.query("SELECT count(*) FROM position WHERE partition < 64")[0][0] > 0, "positions")
    assert server.stop() == 0
    assert check(server.database).returncode == 0  # before it was sabotaged
    connection = sqlite3.connect(server.database)
    assert connection.execute(sql).rowcount > 0
    connection.commit()
    connection.close()
    done = check(server.database)
    assert done.returncode == 78 and words in done.stdout, done.stdout
    told = json.loads(check(server.database, "--json").stdout)
    assert told["ok"] is False and any(words in finding for finding in told["checks"][0]["findings"])


def test_another_version_is_told(server: Server) -> None:
    server.create("ada@example.org")
    assert server.stop() == 0
    connection = sqlite3.connect(server.database)
    newest = connection.execute("PRAGMA user_version").fetchone()[0]
    for version, words in ((newest - 1, "start it once"), (newest + 1, "the one that made it")):
        connection.execute(f"PRAGMA user_version = {version}")
        done = check(server.database)
        assert done.returncode == 78 and f"has version {version}" in done.stdout and words in done.stdout, done.stdout
    connection.close()


def test_a_damaged_file_is_found(server: Server) -> None:
    for i in range(300):
        server.create(f"user{i}@example.org")
    server.await_drained()
    assert server.stop() == 0
    size = server.database.stat().st_size
    with open(server.database, "r+b") as file:
        for at in range(8192, size, 4096):  # a few bytes of every page
            file.seek(at)
            file.write(b"\xff" * 64)
    done = check(server.database)
    assert done.returncode == 78 and "WRONG users' database" in done.stdout, done.stdout
    copy = server.database.with_name("copy.db")
    assert backup(server.database, copy).returncode == 75 and not copy.exists()
