# SPDX-License-Identifier: Apache-2.0
"""The command line, and what an operator meets when something is wrong."""
import json
import os
import pathlib
import socket
import subprocess

import pytest

from harness.broker import Broker
from harness.service import Server, Worker, binary, run
from harness.waiting import wait_for

COMMANDS = (("runserver",), ("broker", "list_queues"), ("broker", "start"), ("report",), ("verify",),
            ("broker", "status"), ("broker", "replay"), ("broker", "lanes", "list"), ("broker", "lanes", "release"),
            ("broker", "lanes", "discard"), ("broker", "dead_letters", "list"), ("broker", "dead_letters", "show"),
            ("broker", "dead_letters", "replay"), ("broker", "dead_letters", "discard"), ("check",), ("backup",))
CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"


def one_line(text: str) -> str:
    """What a failing command says beside its log."""
    lines = [line for line in text.splitlines() if line.startswith("userbus: ")]
    assert len(lines) == 1, text
    return lines[0]


def run_server(folder: pathlib.Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    defaults = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "off", "DATABASE_URL": f"sqlite:{folder}/userbus.db",
                "RABBIT_MQ_URL": CLOSED_PORT_URL}
    return run("runserver", *arguments, **(defaults | settings))


def test_list_queues_in_the_words_of_the_original() -> None:
    done = run("broker", "list_queues")
    assert (done.returncode, done.stdout) == (0, "Queue name : `user`\n")
    assert json.loads(run("broker", "list_queues", "--json").stdout) == {"queues": ["user"]}


def test_start_in_the_words_of_the_original(worker: Worker) -> None:
    wait_for(lambda: worker.out_path.read_text() == "Start consuming message on the queue `user`\n", "its words")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_everywhere(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "userbus " + " ".join(command) in done.stdout
    assert "--database-url (DATABASE_URL)" in done.stdout


def test_version_and_general_help() -> None:
    assert run("--version").stdout.startswith("userbus 0.")
    done = run("--help")
    assert done.returncode == 0 and all(" ".join(command) in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("arguments", [(), ("fly",), ("broker",), ("broker", "start"), ("broker", "start", "a", "b"),
                                       ("report", "--with-worker"), ("runserver", "--speed", "9"),
                                       ("broker", "start", "nobody")], ids=" ".join)
def test_usage_errors(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 64
    assert done.stderr != "" and done.stdout == ""


@pytest.mark.parametrize("settings, words", [
    ({"BRIDGES": "17"}, ("bridges", "'17'", "environment BRIDGES", "1..16")),
    ({"DELIVERY_MODE": "1"}, ("delivery_mode", "'1'")),
    ({"QUEUE_TYPE": "lazy"}, ("queue_type", "'lazy'", "quorum|classic")),
    ({"RABBIT_MQ_URL": "http://x"}, ("RABBIT_MQ_URL",)),
    ({"RABBIT_MQ_URL": "amqps://guest:hidden@x/"}, ("RABBIT_MQ_URL", "TLS")),
    ({"LISTEN": "nonsense"}, ("nonsense",)),
    ({"DATABASE_URL": "mysql:x"}, ("DATABASE_URL", "sqlite:")),
    ({"BACKEND_API_PREFIX": "api/"}, ("BACKEND_API_PREFIX",)),
    ({"USERBUS_CONFIG": "/nowhere/userbus.yaml"}, ("/nowhere/userbus.yaml",)),
])
def test_bad_settings(folder: pathlib.Path, settings: dict[str, str], words: tuple[str, ...]) -> None:
    done = run_server(folder, **settings)
    assert done.returncode == 78
    line = one_line(done.stderr)
    assert all(word in line for word in words), line
    assert "hidden" not in line
    assert list(folder.iterdir()) == []


def test_a_bad_settings_file(folder: pathlib.Path) -> None:
    config = folder / "userbus.yaml"
    for text, word in (("speed: 9\n", "speed"), ("bridges: 99\n", "bridges"), ("a: [\n", "userbus.yaml"),
                       ("handlers:\n  - {label: x, queue: user, event: user.fly, processor: y}\n", "user.fly")):
        config.write_text(text)
        command = ("broker", "start", "user") if "handlers" in text else ("runserver",)
        done = run(*command, "--config", str(config), "--listen", "127.0.0.1:0",
                   "--consumer-database-url", f"sqlite:{folder}/c.db", "--rabbit-mq-url", CLOSED_PORT_URL)
        assert done.returncode == 78, done.stderr
        assert word in one_line(done.stderr)


def test_a_misspelt_secret_in_the_settings_file_is_not_shown(folder: pathlib.Path) -> None:
    config = folder / "userbus.yaml"
    for key in ("rabbitmq_url", "api_key", "Password"):
        config.write_text(f"{key}: amqp://guest:hunter2@x/\n")
        done = run("runserver", "--config", str(config), "--listen", "127.0.0.1:0")
        assert done.returncode == 78
        assert key in one_line(done.stderr) and "(hidden)" in done.stderr
        assert "hunter2" not in done.stderr + done.stdout


def test_a_taken_port_changes_nothing(folder: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_server(folder, LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 78
    assert str(port) in one_line(done.stderr)
    assert list(folder.iterdir()) == []


def test_a_database_that_cannot_be_written(folder: pathlib.Path) -> None:
    done = run_server(folder, DATABASE_URL=f"sqlite:{folder}/none/userbus.db")
    assert done.returncode == 78
    assert "none/userbus.db" in one_line(done.stderr)
    assert list(folder.iterdir()) == []
    (folder / "text.db").write_text("this is a text, and no database; " * 10)
    done = run_server(folder, DATABASE_URL=f"sqlite:{folder}/text.db")
    assert done.returncode == 78 and "not a database" in one_line(done.stderr)
    (folder / "folder.db").mkdir()
    assert run_server(folder, DATABASE_URL=f"sqlite:{folder}/folder.db").returncode == 78


def test_one_service_per_database(server: Server, folder: pathlib.Path) -> None:
    done = run_server(folder, DATABASE_URL=f"sqlite:{server.database}")
    assert done.returncode == 78
    assert "another userbus process" in one_line(done.stderr)
    assert server.create("ada@example.org").status_code == 200


def test_the_two_databases_must_differ(server: Server, broker: Broker) -> None:
    done = run("broker", "start", "user", RABBIT_MQ_URL=broker.url,
               CONSUMER_DATABASE_URL=f"sqlite:{server.database}")
    assert done.returncode == 78
    assert "a file of its own" in one_line(done.stderr)


def test_a_report_before_any_worker(folder: pathlib.Path) -> None:
    done = run("report", CONSUMER_DATABASE_URL=f"sqlite:{folder}/consumer.db")
    assert done.returncode == 78
    assert "userbus broker start" in one_line(done.stderr)
    assert list(folder.iterdir()) == []


def test_a_queue_of_another_type(start, broker: Broker) -> None:
    with broker.connect() as connection:
        connection.channel().queue_declare("user", durable=True)
    broker.publish(b"precious")
    server = start(Server, RABBIT_MQ_URL=broker.url)
    worker = start(Worker, RABBIT_MQ_URL=broker.url, wait=False)
    line = server.await_log(event="connect_failed", level="error")
    assert "'user'" in line.fields["detail"] and "inequivalent arg" in line.fields["detail"]
    assert worker.await_log(event="cannot_consume", level="error")
    assert server.create("ada@example.org").status_code == 200  # degraded, not down
    assert broker.depth() == 1
    done = check(server, broker.url)
    assert done.returncode == 78 and "WRONG topology" in done.stdout and "'user'" in done.stdout


def check(server: Server, url: str, *arguments: str) -> subprocess.CompletedProcess:
    return run("check", *arguments, RABBIT_MQ_URL=url, DATABASE_URL=f"sqlite:{server.database}",
               CONSUMER_DATABASE_URL=server.settings["CONSUMER_DATABASE_URL"])


def test_wrong_credentials(start, broker: Broker) -> None:
    url = broker.url.replace("guest:guest", "guest:wrong-password")
    server = start(Server, RABBIT_MQ_URL=url)
    line = server.await_log(event="connect_failed", level="error")
    assert "RABBIT_MQ_URL" in line.fields["detail"]
    assert "wrong-password" not in server.log_text()
    assert server.create("ada@example.org").status_code == 200
    done = check(server, url)
    assert done.returncode == 69 and "WRONG broker" in done.stdout
    assert "wrong-password" not in done.stdout + done.stderr


def test_check_when_all_is_well_and_when_the_broker_is_down(server: Server, broker: Broker) -> None:
    server.create("ada@example.org")
    server.await_drained()
    done = check(server, broker.url)
    assert done.returncode == 0, done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 5
    told = json.loads(check(server, CLOSED_PORT_URL, "--json").stdout)
    assert told["ok"] is False
    assert {row["check"]: row["ok"] for row in told["checks"]} == {
        "settings": True, "database": True, "consumer database": True, "broker": False, "topology": False}


def test_check_makes_nothing(broker: Broker, folder: pathlib.Path) -> None:
    done = run("check", RABBIT_MQ_URL=broker.url, DATABASE_URL=f"sqlite:{folder}/a.db",
               CONSUMER_DATABASE_URL=f"sqlite:{folder}/b.db")
    assert done.returncode == 0, done.stdout
    assert list(folder.iterdir()) == [] and broker.depth() == -1


def test_secrets_from_files(start, broker: Broker, folder: pathlib.Path) -> None:
    (folder / "url").write_text(broker.url + "\n")
    server = start(Server, RABBIT_MQ_URL_FILE=str(folder / "url"))
    server.await_log(event="publishing")
    assert "guest:guest" not in server.log_text()


def test_a_log_that_nobody_reads_stops_nobody(folder: pathlib.Path, broker: Broker) -> None:
    """stderr is a pipe that is full."""
    reading, writing = os.pipe()
    settings = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "off", "DATABASE_URL": f"sqlite:{folder}/userbus.db",
                "RABBIT_MQ_URL": broker.url, "LOG_LEVEL": "debug", "PATH": os.environ["PATH"]}
    process = subprocess.Popen([binary(), "runserver"], env=settings, stderr=writing)
    text = b""
    while b"event=ready" not in text:
        text += os.read(reading, 4096)
    address = text.split(b"event=ready address=")[1].split()[0].decode()
    try:
        for i in range(1500):  # far more lines than a pipe holds
            with socket.create_connection(tuple(address.rsplit(":", 1)), timeout=10) as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n" % i)
                assert b" 200 " in connection.recv(4096)
    finally:
        process.terminate()
        assert process.wait(60) == 0
        os.close(reading)
        os.close(writing)
