# SPDX-License-Identifier: Apache-2.0
"""One thread that works many connections over raw sockets: several times what Client's threads can do.

It asks and records what load.Client does. A connection whose socket breaks ends, or with `reconnect` tries again
until the load is stopped.
"""
import collections
import itertools
import random
import re
import select
import socket
import threading
import time

from .load import Answer, Record

ANSWER_SECONDS = 40  # none takes longer, or the service hangs
RECONNECT_SECONDS = 0.05
USERS_KEPT = 20
ID = re.compile(rb'"id": *"([0-9a-f-]{36})"')
IS_VALID = re.compile(rb'"is_valid": *true')


class _Connection:
    """Its users are its own, so the order of its requests is the order of their changes."""

    def __init__(self, load: "FastLoad", name: str) -> None:
        self.load, self.name = load, name
        self.random = random.Random(f"{load.seed}-{name}")
        self.socket: socket.socket | None = None
        self.input = b""
        self.pending: tuple | None = None  # request id, type, user it is about
        self.sent_at = 0.0
        self.users: list[list] = []  # [id, is_valid]
        self.count = 0

    def open(self) -> None:
        self.socket = socket.create_connection((self.load.host, self.load.port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.input = b""

    def forget(self, user: list | None) -> None:
        """What was asked of the user may have been done or not: a second delete would be answered without an event."""
        self.users = [other for other in self.users if other is not user]

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = self.pending = None

    # --- requests

    def ask(self, type_: str, method: str, path: str, body: str, user: list | None) -> None:
        request_id = f"{self.name}-{self.count}"
        head = f"{method} {path} HTTP/1.1\r\nHost: userbus\r\nX-Request-Id: {request_id}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.pending = (request_id, type_, user)
        self.load.record.sent.add(request_id)
        self.sent_at = time.monotonic()
        self.socket.send(f"{head}\r\n{body}".encode())

    def next(self) -> None:
        self.count += 1
        dice = self.random.random()
        if not self.users or dice < 0.3:
            self.ask("user.create", "POST", "/users", f'{{"email":"{self.name}-{self.count}@example.org",'
                     '"first_name":"Ada","last_name":"Byron"}', None)
            return
        user = self.random.choice(self.users)
        if dice < 0.9:
            if self.load.hot_user is not None and self.random.random() < 0.3:
                user = [self.load.hot_user, None]
            if dice < 0.6:
                self.ask("user.read", "GET", f"/users/{user[0]}", "", user)
            else:  # a name that was never used, so that it always is a change
                self.ask("user.update", "PATCH", f"/users/{user[0]}",
                         f'{{"last_name":"Byron {self.name} {self.count}"}}', user)
        elif user[1]:
            self.ask("user.delete", "DELETE", f"/users/{user[0]}", "", user)
        else:
            self.ask("user.update", "PATCH", f"/users/{user[0]}", '{"is_valid":true}', user)

    # --- answers

    def read(self) -> bool:
        """True: the answer is here. Raises OSError when there will be none."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed by the service")
        self.input += data
        head_size = self.input.find(b"\r\n\r\n")
        if head_size < 0:
            return False
        head = self.input[:head_size].lower()
        at = head.find(b"content-length:")
        body_size = int(head[at + 15:head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else None])
        if len(self.input) < head_size + 4 + body_size:
            return False
        self.take(int(head[9:12]), head, self.input[head_size + 4:])
        self.input = b""
        return True

    def take(self, status: int, head: bytes, body: bytes) -> None:
        request_id, type_, user = self.pending
        self.pending = None
        record = self.load.record
        self.load.slowest = max(self.load.slowest, time.monotonic() - self.sent_at)
        if status != 200:
            record.refused[status] = record.refused.get(status, 0) + 1
            return
        if b"view-counted: no" in head:
            record.uncounted += 1
            record.sent.discard(request_id)  # an event of it would be invented
            return
        if user is None:
            user = [ID.search(body)[1].decode(), True]
            self.users.append(user)
            del self.users[:-USERS_KEPT]
        elif user[1] is not None:
            if type_ == "user.delete":
                user[1] = False
            elif IS_VALID.search(body):
                user[1] = True
        record.answers.append(Answer(request_id, type_, user[0]))


class FastLoad(threading.Thread):
    """pause: seconds between two requests of a connection."""

    def __init__(self, host: str, port: int, name: str, seed: int = 1, connections: int = 16,
                 hot_user: str | None = None, pause: float = 0, reconnect: bool = False) -> None:
        super().__init__(name=name, daemon=True)
        self.host, self.port, self.seed = host, port, seed
        self.hot_user, self.pause, self.reconnect = hot_user, pause, reconnect
        self.record = Record()
        self.slowest = 0.0  # seconds an answer took
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.connections = [_Connection(self, f"{name}-{i}") for i in range(connections)]
        self.by_fd: dict[int, _Connection] = {}
        self.resting: collections.deque = collections.deque()  # (when to go on, connection), in order
        self.broken: list = []  # (when to try again, connection)
        self.poll = select.epoll()
        self.start()

    # --- the thread

    def run(self) -> None:
        try:
            for connection in self.connections:
                self.begin(connection)
            while self.by_fd or self.broken or self.resting:
                self.turn()
        except BaseException as failure:  # for join() to raise
            self.failure = failure
        finally:
            self.poll.close()
            for connection in self.connections:
                connection.close()

    def begin(self, connection: _Connection) -> None:
        try:
            connection.open()
            self.by_fd[connection.socket.fileno()] = connection
            self.poll.register(connection.socket.fileno(), select.EPOLLIN)
            connection.next()
        except OSError:
            self.drop(connection)

    def drop(self, connection: _Connection) -> None:
        if connection.pending is not None:
            self.record.broken += 1
            connection.forget(connection.pending[2])
        if connection.socket is not None:
            self.by_fd.pop(connection.socket.fileno(), None)
        connection.close()
        if self.reconnect and not self.stopping.is_set():
            self.broken.append((time.monotonic() + RECONNECT_SECONDS, connection))

    def go_on(self, connection: _Connection) -> None:
        if self.stopping.is_set():
            self.by_fd.pop(connection.socket.fileno(), None)
            connection.close()
        elif self.pause > 0:
            self.resting.append((time.monotonic() + self.pause, connection))
        else:
            self.send_next(connection)

    def send_next(self, connection: _Connection) -> None:
        try:
            connection.next()
        except OSError:
            self.drop(connection)

    def turn(self) -> None:
        for fd, _ in self.poll.poll(0.01 if self.pause or self.broken else 0.05):
            connection = self.by_fd.get(fd)
            if connection is None:
                continue
            try:
                done = connection.pending is not None and connection.read()
                if connection.pending is None and not done:
                    raise ConnectionResetError("something came that was not asked for, or the end")
            except BlockingIOError:
                continue
            except OSError:
                self.drop(connection)
                continue
            if done:
                self.go_on(connection)
        self.wake(time.monotonic())

    def wake(self, now: float) -> None:
        stopping = self.stopping.is_set()
        while self.resting and (stopping or self.resting[0][0] <= now):
            connection = self.resting.popleft()[1]
            if connection.socket is not None:
                self.go_on(connection) if stopping else self.send_next(connection)
        if self.broken:
            due = [pair for pair in self.broken if stopping or pair[0] <= now]
            self.broken = [pair for pair in self.broken if not stopping and pair[0] > now]
            for _, connection in due:
                if not stopping:
                    self.begin(connection)
        if any(connection.pending is not None and now - connection.sent_at > ANSWER_SECONDS
               for connection in itertools.islice(self.by_fd.values(), 4)):
            raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")

    # --- for others

    def answered(self) -> int:
        return len(self.record.answers)

    def finish(self) -> Record:
        """Waits until it has ended by itself."""
        self.join(ANSWER_SECONDS + 20)
        assert not self.is_alive(), "a load hangs"
        if self.failure is not None:
            raise self.failure
        return self.record

    def stop(self) -> Record:
        self.stopping.set()
        return self.finish()
