# SPDX-License-Identifier: Apache-2.0
"""What no client library would send: bytes straight into the socket, on both listeners. Whatever they are, no answer is a
5xx, the process lives, the next request is served, and nothing has changed."""
import errno
import json
import os
import random
import socket
import struct

import pytest

from harness.broker import Broker
from harness.service import Server

pytestmark = pytest.mark.xdist_group("abuse")  # one service for all, and the last test looks back at them

SEED = int(os.environ.get("ABUSE_SEED", "20261124"))
MUTANTS = 400
GOOD = json.dumps({"email": "bob@example.org", "first_name": "Bob", "last_name": "Builder"}).encode()
BAD = b'{"email": 7, "nickname": "x", "first_name": "A", "last_name": null}'
HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"


def post(headers: bytes, body: bytes = GOOD) -> bytes:
    return b"POST /users HTTP/1.1\r\n" + HOST + JSON + headers + b"\r\n" + body


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def chunked(chunks: bytes, more: bytes = b"") -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n" + more, chunks)


def get(target: bytes, headers: bytes = HOST, version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n"


LIST = get(b"/users?limit=1")
CHUNK = b"%x\r\n%s\r\n" % (len(GOOD), GOOD)

# What must be refused or left without an answer: a whole and valid user rides in most of them.
REFUSED = {
    "nothing": b"",
    "only line ends": b"\r\n\r\n\r\n",
    "only NULs": b"\0" * 1000,
    "a TLS hello": bytes.fromhex("160301007501000071030353") + b"\x11" * 100,
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "HTTP/0.9": b"GET /users\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "no method": b" /users HTTP/1.1\r\n" + HOST + b"\r\n",
    "a version of nobody": get(LIST[4:18], version=b"HTTP/x.y"),
    "a version without number": get(b"/users", version=b"HTTP/"),
    "two spaces": b"GET  /users  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in the target": get(b"/users/a\0b@c.de"),
    "a NUL in a header's name": get(b"/users", b"X\0Y: 1\r\n" + HOST),
    "a NUL in a header's value": get(b"/users", b"X: a\0b\r\n" + HOST),
    "a bell in a header's value": get(b"/users", b"X: a\7b\r\n" + HOST),
    "a header without colon": get(b"/users", b"Host\r\n"),
    "a header without name": get(b"/users", b": x\r\n" + HOST),
    "a space before the colon": get(b"/users", b"X : 1\r\n" + HOST),
    "a folded first header": get(b"/users", b" x: y\r\n" + HOST),
    "a bare CR": b"GET /users HTTP/1.1\rHost: x\r\r",
    "101 headers": get(b"/users", b"x: y\r\n" * 101),
    "a head of 500 KB": get(b"/users", b"X: " + b"a" * 500000 + b"\r\n"),
    "a target of 500 KB": get(b"/users/" + b"a" * 500000),
    "a negative length": post(b"Content-Length: -5\r\n"),
    "a length of letters": post(b"Content-Length: abc\r\n"),
    "a length beyond 64 bits": post(b"Content-Length: 99999999999999999999999\r\n"),
    "a length of 2^64 - 1": post(b"Content-Length: 18446744073709551615\r\n"),
    "a length without end": post(b"Content-Length: 5000\r\n"),
    "an encoding of nobody": post(b"Transfer-Encoding: gzip\r\n"),
    "a negative chunk": chunked(b"-5\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk without size": chunked(b"\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk of letters": chunked(b"xyz\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": chunked(b"FFFFFFFFFFFFFFFFF\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk of 2^64 - 1": chunked(b"ffffffffffffffff\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk longer than it says": chunked(b"5\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "a chunk shorter than it says": chunked(b"fff\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "no last chunk": chunked(CHUNK),
    "half a last chunk": chunked(CHUNK + b"0\r\n"),
    "NULs for a chunk": chunked(b"\0" * 64),
    "chunks without end": chunked(b"1\r\n{\r\n" * 5000),
    "an expectation of nobody": post(b"Expect: a miracle\r\n" + sized(BAD), BAD),
    "an expected body that never comes": post(b"Expect: 100-continue\r\n" + sized(GOOD), b""),
    "raw bytes": bytes(range(256)) * 20,
}

# What libh2o may take, and where a body would be read it is one that no reading of it makes valid.
TAKEN = {
    "bare line feeds": LIST.replace(b"\r\n", b"\n"),
    "line ends before it": b"\r\n\r\n" + LIST,
    "HTTP/1.0": get(b"/users?limit=1", b"", b"HTTP/1.0"),
    "HTTP/1.9": get(b"/users?limit=1", version=b"HTTP/1.9"),
    "no host": get(b"/users?limit=1", b""),
    "two hosts": get(b"/users?limit=1", HOST + b"Host: y\r\n"),
    "a host of rubbish": get(b"/users?limit=1", b"Host: \xff:99999999@/\r\n"),
    "an absolute target": get(b"http://x/users?limit=1"),
    "an absolute target of elsewhere": get(b"http://example.org:80/users"),
    "an authority": get(b"x:80", method=b"CONNECT"),
    "an asterisk": get(b"*", method=b"OPTIONS"),
    "no slash": get(b"users"),
    "two slashes": get(b"//users"),
    "many slashes": get(b"/" * 5000),
    "dots": get(b"/users/../users/./ada@example.org/.."),
    "encoded dots": get(b"/users/%2e%2e/%2e%2e/etc/passwd"),
    "encoded twice": get(b"/users/nobody%2540example.org"),
    "an encoded slash": get(b"/users/a%2Fb%40c.de"),
    "an encoded NUL": get(b"/users/a%00b@c.de"),
    "an encoded line end": get(b"/users/a%0d%0aX-Bad:%201@c.de"),
    "no UTF-8": get(b"/users/\xff\xfe@c.de"),
    "no UTF-8, encoded": get(b"/users/%ff%fe%c0%af@c.de"),
    "a surrogate": get(b"/users/%ed%a0%80@c.de"),
    "half a character": get(b"/users/a@c.d%c3"),
    "a fragment": get(b"/users#x"),
    "many question marks": get(b"/users" + b"?" * 3000),
    "many parameters": get(b"/users?" + b"limit=1&" * 3000),
    "a long target": get(b"/users/" + b"a" * 30000),
    "a long encoded target": get(b"/users/" + b"%61" * 10000),
    "a method of nobody": get(b"/users", method=b"BREW"),
    "a method in small letters": get(b"/users", method=b"get"),
    "a method of rubbish": get(b"/users", method=b"G@T~!"),
    "a long method": get(b"/users", method=b"G" * 30000),
    "TRACE": get(b"/users", method=b"TRACE"),
    "HEAD": get(b"/users", method=b"HEAD"),
    "a folded header": get(b"/users?limit=1", HOST + b"X: a\r\n b\r\n"),
    "100 headers": get(b"/users?limit=1", b"x: y\r\n" * 100),
    "a header of 60 KB": get(b"/users?limit=1", b"X: " + b"a" * 60000 + b"\r\n"),
    "an id of control characters": get(b"/users?limit=1", b"X-Request-Id: a\tb\r\n"),
    "an id of 64 KB": get(b"/users?limit=1", b"X-Request-Id: " + b"a" * 65536 + b"\r\n"),
    "an id of other bytes": get(b"/users?limit=1", b"X-Request-Id: \xff\xfe\r\n"),
    "a trace of rubbish": get(b"/users?limit=1", b"traceparent: 00-zz\r\ntracestate: \xff\r\n"),
    "an upgrade to h2c": get(b"/users?limit=1", HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                             b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    "an upgrade to a websocket": get(b"/users?limit=1", HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                     b"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"),
    "a body for a GET": get(b"/users?limit=1", HOST + sized(BAD)) + BAD,
    "no length": post(b"", BAD),
    "a length with a plus": post(b"Content-Length: +%d\r\n" % len(BAD), BAD),
    "a length that is none at its end": post(b"Content-Length: %dx\r\n" % len(BAD), BAD),
    "two lengths": post(sized(BAD) + b"Content-Length: 3\r\n", BAD),
    "a list of lengths": post(b"Content-Length: 5, 5\r\n", BAD),
    "an empty length": post(b"Content-Length:\r\n", BAD),
    "a length too short": post(b"Content-Length: 3\r\n", BAD),
    "a length and chunks": post(sized(BAD) + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + BAD),
    "chunks and a length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"0\r\n\r\n" + BAD),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "chunked, almost": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunks with extensions": chunked(b"2;a=b;c=\"d\"\r\n{}\r\n0;x\r\n\r\n"),
    "chunks with trailers": chunked(b"2\r\n{}\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\n"),
    "chunks with bare line feeds": chunked(b"2\n{}\n0\n\n"),
    "chunks of a byte": chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BAD) + b"0\r\n\r\n"),
    "chunks in HTTP/1.0": chunked(b"2\r\n{}\r\n0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an expected body": post(b"Expect: 100-continue\r\n" + sized(BAD), BAD),
    "an expected body in capitals": post(b"EXPECT: 100-CONTINUE\r\n" + sized(BAD), BAD),
    "a body of NULs": post(sized(b"\0" * 500), b"\0" * 500),
    "a deep body": post(sized(b"[" * 60000), b"[" * 60000),
    "a body behind a refused head": post(sized(BAD), BAD).replace(b"application/json", b"text/plain"),
}


@pytest.fixture(scope="module")
def held(tmp_path_factory, session_broker: Broker):
    """One service for all, with one user whom nothing may touch."""
    session_broker.reset()
    server = Server(tmp_path_factory.mktemp("abuse"), RABBIT_MQ_URL=session_broker.url)
    assert server.create("ada@example.org").status_code == 200
    yield server
    code = server.stop()
    print(server.log_text()[-5000:])
    assert code == 0 and server.faults() == []


@pytest.fixture(params=["api", "operator"])
def address(request, held: Server) -> tuple[str, int]:
    if request.param == "api":
        return held.host, held.port
    host, port = held.admin_url.removeprefix("http://").rsplit(":", 1)
    return host, int(port)


def state(server: Server) -> list[tuple]:
    return server.query("SELECT * FROM user") + server.query("SELECT position, sequence FROM event")


@pytest.fixture(autouse=True)
def nothing_changes(held: Server):
    before = state(held)
    yield
    assert held.is_running()
    assert held.request("GET", "/livez").status_code == 200
    page = held.request("GET", "/users?limit=100")
    assert page.status_code == 200 and [user["email"] for user in page.json()["users"]] == ["ada@example.org"]
    assert state(held) == before


def connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def raise_unless_closed(error: OSError) -> None:
    """The service closes upon what it has not read, as it may; a shutdown after that finds no connection."""
    if not isinstance(error, ConnectionError) and error.errno != errno.ENOTCONN:
        raise error


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while chunk := connection.recv(65536):
            answer += chunk
    except OSError as error:
        raise_unless_closed(error)
    return answer


def say(address: tuple[str, int], data: bytes) -> bytes:
    """All that comes back for these bytes, with nothing behind them."""
    with connect(address) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise_unless_closed(error)
        return read_to_end(connection)


def statuses(answer: bytes) -> list[int]:
    """Of all responses in it, each of which must be whole and well-formed."""
    found = []
    while answer:
        head, end, rest = answer.partition(b"\r\n\r\n")
        assert end and head.startswith(b"HTTP/1.1 "), answer[:200]
        found.append(int(head[9:12]))
        if found[-1] == 100:
            answer = rest
            continue
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if b"content-length" not in headers:
            return found  # it ends with the connection
        size = int(headers[b"content-length"])
        if rest[:5] == b"HTTP/" or (size > 0 and not rest):
            answer = rest  # to a HEAD
            continue
        assert len(rest) >= size, answer[:200]
        if headers[b"content-type"].endswith(b"json"):
            json.loads(rest[:size])
        answer = rest[size:]
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(address: tuple[str, int], name: str) -> None:
    found = statuses(say(address, REFUSED[name]))
    assert all(status == 100 or 400 <= status < 500 for status in found), found


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_odd_does_no_harm(address: tuple[str, int], name: str) -> None:
    found = statuses(say(address, TAKEN[name]))
    assert all(status < 500 for status in found), found


def test_no_line_of_ours_is_the_clients(address: tuple[str, int]) -> None:
    for target in (b"/users/a%0d%0aX-Injected:%20yes@c.de", b"/users/a%0aX-Injected:%20yes"):
        answer = say(address, get(target, HOST + b"X-Request-Id: a%0d%0aX-Injected: yes\r\n"))
        assert b"\r\nx-injected" not in answer.lower() and b"\nx-injected" not in answer.lower()


def test_an_error_does_not_end_a_pipeline(held: Server) -> None:
    requests = [LIST, get(b"/nothing"), LIST, post(sized(BAD), BAD), post(sized(b"{"), b"{"), get(b"/users?limit=0"),
                get(b"/users", method=b"BREW"), get(b"/users/nobody@c.de", method=b"DELETE"), LIST]
    expected = [200, 404, 200, 422, 400, 400, 405, 404, 200]
    with connect((held.host, held.port)) as connection:
        connection.sendall(b"".join(requests))
        answer = b""
        while answer.count(b"HTTP/1.1 ") < len(expected) or not answer.endswith(b"}"):
            chunk = connection.recv(65536)
            assert chunk, f"it closed after {answer!r}"
            answer += chunk
    assert statuses(answer) == expected


def test_what_cannot_be_read_ends_a_pipeline(held: Server) -> None:
    answer = say((held.host, held.port), LIST + b"\0\0\r\n\r\n" + post(sized(GOOD)))
    assert statuses(answer) in ([200, 400], [200])


def test_a_body_that_is_too_short_takes_nothing_from_the_next(held: Server) -> None:
    """The rest of the bytes is the next request, which is none."""
    answer = say((held.host, held.port), post(b"Content-Length: 10\r\n", BAD) + LIST)
    assert statuses(answer)[0] == 400


def leave(connection: socket.socket, abruptly: bool) -> None:
    """With a FIN or a RST."""
    if abruptly:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("abruptly", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("request_bytes", [post(sized(GOOD)), chunked(CHUNK + b"0\r\n\r\n")], ids=["length", "chunks"])
def test_a_client_that_leaves_at_any_byte_has_done_nothing(held: Server, request_bytes: bytes, abruptly: bool) -> None:
    for size in range(len(request_bytes)):
        connection = connect((held.host, held.port))
        connection.sendall(request_bytes[:size])
        leave(connection, abruptly)


def test_a_client_that_leaves_before_its_answer_harms_nobody(address: tuple[str, int]) -> None:
    for i in range(200):
        connection = connect(address)
        connection.sendall(LIST * (1 + i % 5))
        leave(connection, abruptly=i % 2 == 0)


def test_a_request_may_come_byte_by_byte(held: Server) -> None:
    with connect((held.host, held.port)) as connection:
        for request in (LIST, post(b"Connection: close\r\n" + sized(BAD), BAD)):
            for i in range(len(request)):
                connection.sendall(request[i:i + 1])
        assert statuses(read_to_end(connection)) == [200, 422]


def test_those_who_never_finish_hold_up_nobody(held: Server, address: tuple[str, int]) -> None:
    request = post(sized(GOOD))
    unfinished = [connect(address) for _ in range(200)]
    for i, connection in enumerate(unfinished):
        connection.sendall(request[:i % len(request)])
    assert held.request("GET", "/users?limit=1").status_code == 200
    for connection in unfinished:
        connection.close()


def mutate(dice: random.Random, data: bytes) -> bytes:
    """One to six bytes lost, doubled, changed, or a piece moved."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 7)):
        at = dice.randrange(len(changed))
        match dice.randrange(5):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                del changed[at:at + dice.randrange(1, 4)]
            case 2:
                changed[at:at] = dice.choice([b"\r\n", b"\n", b"\0", b" ", b":", b"%", b"\xff", b"0", b"9" * 20, b";"])
            case 3:
                changed[at:at] = changed[at:at + dice.randrange(1, 40)]
            case 4:
                changed[at] ^= 1 << dice.randrange(8)
        if not changed:
            break
    return bytes(changed)


def test_mutants(address: tuple[str, int]) -> None:
    """Of requests that change nothing, some behind one another. ABUSE_SEED gives others."""
    print(f"ABUSE_SEED={SEED}")
    dice = random.Random(SEED)
    parents = [LIST, post(sized(BAD), BAD), chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BAD), BAD)),
               get(b"/users/nobody%40example.org", method=b"DELETE"), TAKEN["an expected body"],
               TAKEN["an upgrade to h2c"], TAKEN["a trace of rubbish"], LIST + post(sized(BAD), BAD) + LIST]
    for i in range(MUTANTS):
        data = mutate(dice, parents[i % len(parents)])
        found = statuses(say(address, data))
        assert all(status < 500 for status in found), (i, data, found)


def test_no_event_came_of_it(held: Server, session_broker: Broker) -> None:
    """The last of this module: one user was made, and that is all that anybody heard."""
    held.await_drained()
    assert [message.properties.type for message in session_broker.drain()] == ["user.create"]
