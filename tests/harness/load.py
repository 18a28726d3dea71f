# SPDX-License-Identifier: Apache-2.0
"""Clients that write and read users until they are told to stop, and remember what they were answered."""
import http.client
import json
import random
import threading
from dataclasses import dataclass, field
from typing import NamedTuple


class Answer(NamedTuple):
    """A request that was answered 200 and so has made an event."""

    request_id: str
    type: str
    user_id: str


@dataclass
class Record:
    """What one client did."""

    sent: set[str] = field(default_factory=set)  # request ids
    answers: list[Answer] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)  # other statuses, counted
    uncounted: int = 0  # reads that were answered 200 without an event
    broken: int = 0  # connections that ended before the answer


class Client(threading.Thread):
    """One keep-alive connection, whose failure ends the client. pause: seconds between requests."""

    def __init__(self, host: str, port: int, name: str, seed: int, hot_user: str | None = None,
                 pause: float = 0) -> None:
        super().__init__(name=name, daemon=True)
        self.host, self.port = host, port
        self.random = random.Random(f"{seed}-{name}")
        self.hot_user = hot_user
        self.pause = pause
        self.record = Record()
        self.stopping = threading.Event()
        self.users: list[list] = []  # [id, is_valid]
        self.count = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        while not self.stopping.wait(self.pause):
            try:
                self.step(connection)
            except (OSError, http.client.HTTPException):
                self.record.broken += 1
                connection.close()
                return
        connection.close()

    def step(self, connection: http.client.HTTPConnection) -> None:
        dice = self.random.random()
        if not self.users or dice < 0.3:
            self.create(connection)
        elif dice < 0.6:
            self.read(connection)
        elif dice < 0.9:
            self.update(connection)
        else:
            self.delete(connection)

    def ask(self, connection: http.client.HTTPConnection, type_: str, method: str, path: str,
            body: dict | None = None) -> dict | None:
        self.count += 1
        request_id = f"{self.name}-{self.count}"
        headers = {"X-Request-Id": request_id}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.record.sent.add(request_id)
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            self.record.refused[response.status] = self.record.refused.get(response.status, 0) + 1
            return None
        user = json.loads(content)
        if response.getheader("View-Counted") == "no":
            self.record.uncounted += 1
            self.record.sent.discard(request_id)  # an event of it would be invented
            return user
        self.record.answers.append(Answer(request_id, type_, user["id"]))
        return user

    def create(self, connection: http.client.HTTPConnection) -> None:
        email = f"{self.name}-{self.count}@example.org"
        user = self.ask(connection, "user.create", "POST", "/users",
                        {"email": email, "first_name": "Ada", "last_name": "Byron"})
        if user is not None:
            self.users.append([user["id"], True])
            del self.users[:-20]

    def pick(self) -> list:
        if self.hot_user is not None and self.random.random() < 0.3:
            return [self.hot_user, None]
        return self.random.choice(self.users)

    def read(self, connection: http.client.HTTPConnection) -> None:
        self.ask(connection, "user.read", "GET", f"/users/{self.pick()[0]}")

    def update(self, connection: http.client.HTTPConnection) -> None:
        # a name that was never used, so that it always is a change
        user = self.pick()
        self.ask(connection, "user.update", "PATCH", f"/users/{user[0]}",
                 {"last_name": f"Byron {self.name} {self.count}"})

    def delete(self, connection: http.client.HTTPConnection) -> None:
        user = self.random.choice(self.users)
        if user[1]:
            if self.ask(connection, "user.delete", "DELETE", f"/users/{user[0]}") is not None:
                user[1] = False
        else:
            if self.ask(connection, "user.update", "PATCH", f"/users/{user[0]}", {"is_valid": True}) is not None:
                user[1] = True


class Load:
    """Some clients at once."""

    def __init__(self, host: str, port: int, name: str, seed: int = 1, clients: int = 8,
                 hot_user: str | None = None, pause: float = 0) -> None:
        self.clients = [Client(host, port, f"{name}-{i}", seed, hot_user, pause) for i in range(clients)]
        for client in self.clients:
            client.start()

    def answered(self) -> int:
        return sum(len(client.record.answers) for client in self.clients)

    def join(self) -> list[Record]:
        """Waits until all have ended by themselves."""
        for client in self.clients:
            client.join(60)
            assert not client.is_alive(), "a client hangs"
        return [client.record for client in self.clients]

    def stop(self) -> list[Record]:
        for client in self.clients:
            client.stopping.set()
        return self.join()
