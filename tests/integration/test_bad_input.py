# SPDX-License-Identifier: Apache-2.0
"""Whatever a client sends, it is told what is wrong, and nothing changes."""
import http.client
import json
import random
import socket
from dataclasses import dataclass

import pytest

from harness.broker import Broker
from harness.service import Server

pytestmark = pytest.mark.xdist_group("bad_input")  # one service for all

JSON = {"Content-Type": "application/json"}
GOOD = {"email": "bob@example.org", "first_name": "Bob", "last_name": "Builder"}


def body(**changes) -> str:
    return json.dumps(GOOD | changes)


# method, path, body, headers, status, slug
CASES = {
    "no JSON": ("POST", "/users", "{", JSON, 400, "bad-json"),
    "empty": ("POST", "/users", "", JSON, 400, "bad-json"),
    "a key twice": ("POST", "/users", '{"email": "a@b.cd", "email": "c@d.ef"}', JSON, 400, "bad-json"),
    "bad UTF-8": ("POST", "/users", b'{"email": "\xff@b.cd"}', JSON, 400, "bad-json"),
    "behind the end": ("POST", "/users", body() + "x", JSON, 400, "bad-json"),
    "deep": ("POST", "/users", "[" * 5000, JSON, 400, "bad-json"),
    "percent alone": ("GET", "/users/a%", None, {}, 400, "bad-path"),
    "percent XX": ("GET", "/users/a%zz", None, {}, 400, "bad-path"),
    "NUL in the path": ("GET", "/users/a%00b@c.de", None, {}, 400, "bad-path"),
    "newline in the path": ("GET", "/users/a%0Ab@c.de", None, {}, 400, "bad-path"),
    "bad UTF-8 in the path": ("GET", "/users/%ff@c.de", None, {}, 400, "bad-path"),
    "limit 0": ("GET", "/users?limit=0", None, {}, 400, "bad-query"),
    "limit 101": ("GET", "/users?limit=101", None, {}, 400, "bad-query"),
    "limit x": ("GET", "/users?limit=x", None, {}, 400, "bad-query"),
    "no cursor": ("GET", "/users?cursor=x", None, {}, 400, "bad-query"),
    "a cursor of nobody": ("GET", "/users?cursor=01890a5d-ac96-774b-bcce-b302099a8057", None, {}, 400, "bad-query"),
    "unknown parameter": ("GET", "/users?page=2", None, {}, 400, "bad-query"),
    "nobody": ("GET", "/users/nobody@example.org", None, {}, 404, "user-not-found"),
    "nobody to change": ("PATCH", "/users/nobody@example.org", "{}", JSON, 404, "user-not-found"),
    "nobody to delete": ("DELETE", "/users/nobody@example.org", None, {}, 404, "user-not-found"),
    "nothing there": ("GET", "/nothing", None, {}, 404, "no-route"),
    "too deep a path": ("GET", "/users/ada@example.org/x", None, {}, 404, "no-route"),
    "dots": ("GET", "/users/../users/ada@example.org", None, {}, 404, None),
    "PUT": ("PUT", "/users/ada@example.org", "{}", JSON, 405, "method-not-allowed"),
    "DELETE of all": ("DELETE", "/users", None, {}, 405, "method-not-allowed"),
    "POST to one": ("POST", "/users/ada@example.org", "{}", JSON, 405, "method-not-allowed"),
    "a method of nobody": ("BREW", "/users", None, {}, 405, "method-not-allowed"),
    "taken": ("POST", "/users", body(email="ADA@example.org"), JSON, 409, "email-taken"),
    "too large": ("POST", "/users", '"' + "x" * 65536 + '"', JSON, 413, "body-too-large"),
    "far too large": ("POST", "/users", '"' + "x" * 300000 + '"', JSON, 413, "body-too-large"),
    "text": ("POST", "/users", body(), {"Content-Type": "text/plain"}, 415, "media-type"),
    "no type": ("POST", "/users", body(), {}, 415, "media-type"),
    "a patch posted": ("POST", "/users", body(), {"Content-Type": "application/merge-patch+json"}, 415, "media-type"),
}

# changed members, JSON pointer of the error
INVALID = {
    "no object": (None, ""),
    "unknown member": ({"nickname": "x"}, "/nickname"),
    "a slash in a member": ({"a/b~c": 1}, "/a~1b~0c"),
    "our id": ({"id": "x"}, "/id"),
    "our version": ({"version": 3}, "/version"),
    "a number": ({"first_name": 7}, "/first_name"),
    "null": ({"last_name": None}, "/last_name"),
    "too short": ({"first_name": "A"}, "/first_name"),
    "too long": ({"first_name": "ä" * 101}, "/first_name"),
    "a control character": ({"last_name": "a\tb"}, "/last_name"),
    "NUL": ({"first_name": "a\0b"}, "/first_name"),
    "valid is no text": ({"is_valid": "yes"}, "/is_valid"),
    "no at": ({"email": "example.org"}, "/email"),
    "two ats": ({"email": "a@b@c.de"}, "/email"),
    "an empty email": ({"email": ""}, "/email"),
    "a space": ({"email": "a b@c.de"}, "/email"),
    "a long email": ({"email": "a" * 250 + "@b.cd"}, "/email"),
}


@pytest.fixture(scope="module")
def held(tmp_path_factory, session_broker: Broker):
    """One service for all cases, with one user whom none of them may touch."""
    session_broker.reset()
    server = Server(tmp_path_factory.mktemp("bad"), RABBIT_MQ_URL=session_broker.url)
    server.create("ada@example.org")
    yield server
    code = server.stop()
    print(server.log_text()[-5000:])
    assert code == 0 and server.faults() == []


@dataclass
class Answer:
    """What http.client got; requests would mend a bad path before it sends it."""

    status_code: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> dict:
        return json.loads(self.text)


def ask(server: Server, method: str, path: str, data: str | bytes | None, headers: dict) -> Answer:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.request(method, path, data.encode() if isinstance(data, str) else data, headers)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read().decode())
    connection.close()
    return answer


def state(server: Server) -> list[tuple]:
    return server.query("SELECT * FROM user") + server.query("SELECT position, sequence FROM event")


def check_problem(answer, status: int, slug: str | None) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert slug is None or problem["type"] == f"urn:userbus:problem:{slug}"
    assert problem["title"] and problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


@pytest.mark.parametrize("name", CASES)
def test_a_bad_request_is_explained_and_changes_nothing(held: Server, name: str) -> None:
    method, path, data, headers, status, slug = CASES[name]
    before = state(held)
    answer = ask(held, method, path, data, headers)
    check_problem(answer, status, slug)
    assert ("Allow" in answer.headers) == (status == 405)
    assert state(held) == before


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_user_is_pointed_at(held: Server, name: str, method: str) -> None:
    changes, pointer = INVALID[name]
    data = "[1]" if changes is None else body(**changes)
    before = state(held)
    path = "/users" if method == "POST" else "/users/ada@example.org"
    answer = held.request(method, path, data=data, headers=JSON)
    problem = check_problem(answer, 422, "invalid-user")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"]
    assert state(held) == before


def test_every_bad_member_is_named(held: Server) -> None:
    answer = held.request("POST", "/users", data='{"email": "x", "first_name": "A", "extra": 1}', headers=JSON)
    problem = check_problem(answer, 422, "invalid-user")
    assert {error["pointer"] for error in problem["errors"]} == {"/email", "/first_name", "/last_name", "/extra"}


def test_allow_lists_the_methods(held: Server) -> None:
    allow = held.request("PUT", "/users/ada@example.org", json={}).headers["Allow"]
    assert {"GET", "PATCH", "DELETE"} <= {method.strip() for method in allow.split(",")}


def raw(server: Server, data: bytes) -> bytes:
    """What comes back for these bytes until the service has no more to say."""
    with socket.create_connection((server.host, server.port), timeout=15) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            # it closed upon rubbish, as it may; a shutdown after that finds no connection
        return answer


def test_rubbish_is_never_our_fault(held: Server) -> None:
    before = state(held)
    dice = random.Random(5)
    heads = [b"", b"GET ", b"POST /users HTTP/1.1\r\n", b"POST /users HTTP/1.1\r\nContent-Length: 999999\r\n\r\n",
             b"GET /users/%", b"POST /users HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for i in range(150):
        answer = raw(held, heads[i % len(heads)] + dice.randbytes(dice.randrange(1, 3000)))
        assert b"HTTP/1.1 5" not in answer and b"HTTP/1.1 200" not in answer
    assert held.request("GET", "/livez").status_code == 200
    assert state(held) == before


def test_huge_heads_are_refused(held: Server) -> None:
    for head in (b"GET /users/" + b"a" * 600000, b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 5000):
        answer = raw(held, head + b" HTTP/1.1\r\n\r\n")
        assert b" 200 " not in answer and b"HTTP/1.1 5" not in answer
    assert held.request("GET", "/livez").status_code == 200


def test_no_event_came_of_it(held: Server, session_broker: Broker) -> None:
    """The last of this module: one user was made, and that is all that anybody heard."""
    held.await_drained()
    assert [message.properties.type for message in session_broker.drain()] == ["user.create"]


def test_too_many_at_once_are_told_to_come_back(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url, REQUESTS_MAX="1", HTTP_THREADS="1")
    server.create("ada@example.org")
    request = b"GET /users/ada@example.org HTTP/1.1\r\nHost: x\r\n\r\n"
    connections = [socket.create_connection((server.host, server.port), timeout=15) for _ in range(50)]
    for connection in connections:
        connection.sendall(request)
    answers = [connection.recv(65536) for connection in connections]
    for connection in connections:
        connection.close()
    statuses = [int(answer.split()[1]) for answer in answers]
    assert set(statuses) == {200, 503}
    refused = next(answer for answer in answers if b" 503 " in answer[:20])
    assert b"retry-after: 1\r\n" in refused.lower() and b"urn:userbus:problem:overloaded" in refused


def test_a_full_outbox_is_told_and_empties(start, own_broker: Broker) -> None:
    own_broker.kill()
    server = start(Server, RABBIT_MQ_URL=own_broker.url, OUTBOX_MAX_EVENTS="1000")
    statuses = [server.create(f"user{i}@example.org").status_code for i in range(1001)]
    assert statuses == [200] * 1000 + [503]
    answer = server.request("DELETE", "/users/user1@example.org")
    check_problem(answer, 503, "outbox-full")
    assert answer.headers["Retry-After"] == "5"
    answer = server.request("GET", "/users/user1@example.org")
    assert (answer.status_code, answer.headers["View-Counted"], answer.json()["view_count"]) == (200, "no", 0)
    assert server.request("GET", "/readyz").json() == {"status": "read-only"}
    assert server.request("GET", "/users?limit=1").status_code == 200  # makes no event
    own_broker.start()
    server.await_drained()
    assert server.create("late@example.org").status_code == 200
    assert server.request("GET", "/readyz").json() == {"status": "ok"}
    assert len(own_broker.take(1001)) == 1001
