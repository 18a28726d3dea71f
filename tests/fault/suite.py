# SPDX-License-Identifier: Apache-2.0
"""What every row of the fault suite is made of: a row, the scene it plays in, and what came out.

A row is a function that makes a load and a fault, heals, and audits. Each of its controls is the same function
played in a scene with a sabotage, whose `control` names it; the outcome must then show what the row says.
"""
import pathlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import sabotage
from harness import ledger
from harness.broker import ROOT, Broker
from harness.fast_load import FastLoad
from harness.load import Answer, Record
from harness.service import Process, Server, Worker, query
from harness.waiting import wait_for

CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"
BINARY = str(ROOT / "build-fault" / "userbus")
DRAIN_SECONDS = 120

# Controls that leave the fault out, so that a row which would not notice that is found. All others sabotage.
WITHOUT_FAULT = {"never", "room_enough", "undisturbed", "not_frozen", "no_loss", "stays_up", "name_known", "no_alarm",
                 "stays", "same_arguments", "steady", "enough", "not_cancelled", "not_refused", "not_killed", "same_number"}


class NotPossible(Exception):
    """This machine cannot make the fault; the text says why. Such a row has not run."""


@dataclass
class Outcome:
    """What should all be empty, and how much was done for it."""

    rounds: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    order_violations: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)  # duplicates with another id
    broken: list[str] = field(default_factory=list)  # another promise: no answer, a crash, no healing
    not_hit: list[str] = field(default_factory=list)  # the fault did not happen, so nothing is proven

    def breaches(self) -> list[str]:
        return (self.lost + self.order_violations + self.phantoms + self.renamed + self.broken + self.not_hit)

    def take(self, findings: ledger.Findings) -> None:
        self.lost += findings.lost
        self.order_violations += findings.order_violations
        self.phantoms += findings.phantoms
        self.renamed += findings.renamed

    def add(self, other: "Outcome") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Scene:
    """One play of a row: a folder, a broker whose queues are empty, and a ledger of all that was answered."""

    def __init__(self, broker: Broker, seed: int, rounds: int, control: str | None = None, long: bool = False) -> None:
        self.broker, self.rounds, self.control, self.long = broker, rounds, control, long
        self.random = random.Random(seed)
        self.outcome = Outcome()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="userbus-fault-"))
        self.answers: list[Answer] = []
        self.sent: set[str] = set()
        self.forgiven: set[tuple[str, int]] = set()
        self.hot_user: str | None = None
        self.processes: list[Process] = []
        self.loads: list[FastLoad] = []
        self.cleanups: list[Callable[[], None]] = []

    @property
    def has_fault(self) -> bool:
        return self.control not in WITHOUT_FAULT

    def sabotage(self, server: Server, load: FastLoad, start: Callable[[], Server]) -> Server:
        """Under a control that edits the users' database: ends the service in the middle of the fault, does that, and
        starts another. The load has ended then."""
        if self.control not in sabotage.EDITS:
            return server
        server.kill()
        load.finish()
        sabotage.apply(server.database, self.control)
        return start()

    def close(self) -> None:
        for load in self.loads:
            load.stopping.set()
        for process in self.processes:
            if process.is_running():
                process.kill()
        for cleanup in reversed(self.cleanups):
            cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- processes

    def server(self, *arguments: str, failpoints: str = "", **options) -> Server:
        settings = {"RABBIT_MQ_URL": self.broker.url, "USERBUS_FAILPOINTS": failpoints} | options
        server = Server(self.folder, *arguments, program=BINARY, **settings)
        self.processes.append(server)
        return server

    def worker(self, failpoints: str = "", wait: bool = True, **options) -> Worker:
        settings = {"RABBIT_MQ_URL": self.broker.url, "USERBUS_FAILPOINTS": failpoints} | options
        worker = Worker(self.folder, program=BINARY, wait=wait, **settings)
        self.processes.append(worker)
        return worker

    def await_death(self, process: Process, what: str, seconds: float = 15) -> None:
        """By the signal that the row has prepared."""
        try:
            wait_for(lambda: not process.is_running(), what, seconds)
        except TimeoutError:
            self.outcome.not_hit.append(f"it was not killed: {what}")
            process.kill()
        if process.process.returncode != -9:
            self.outcome.broken.append(f"it ended with {process.process.returncode}, not by SIGKILL: {what}")

    # --- load and ledger

    def make_hot_user(self, server: Server) -> None:
        """One user whom all clients read and change."""
        answer = server.create("hot@example.org", headers={"X-Request-Id": "hot"})
        answer.raise_for_status()
        self.hot_user = answer.json()["id"]
        self.sent.add("hot")
        self.answers.append(Answer("hot", "user.create", self.hot_user))

    def load(self, server: Server, answered: int = 50, **options) -> FastLoad:
        """Has had some answers when it comes back."""
        if self.hot_user is None:
            self.make_hot_user(server)
        load = FastLoad(server.host, server.port, f"load{len(self.loads)}", self.random.getrandbits(32),
                        hot_user=self.hot_user, **options)
        self.loads.append(load)
        wait_for(lambda: load.answered() >= answered or not load.is_alive(), "a load", 30)
        return load

    def keep(self, record: Record, refusable: Sequence[int] = ()) -> Record:
        """Into the ledger. refusable: the statuses beside 200 that the fault explains."""
        self.answers += record.answers
        self.sent |= record.sent
        refused = {status: count for status, count in record.refused.items() if status not in refusable}
        if refused:
            self.outcome.broken.append(f"requests were refused: {refused}")
        return record

    def answered_more(self, load: FastLoad, count: int, what: str, seconds: float = 60) -> None:
        before = load.answered()
        wait_for(lambda: load.answered() >= before + count, f"answers {what}", seconds)

    def check(self, holds: object, text: str) -> None:
        if not holds:
            self.outcome.broken.append(text)

    def hit(self, holds: object, text: str) -> None:
        if not holds:
            self.outcome.not_hit.append(text)

    # --- audits

    def stop(self, process: Process) -> None:
        code = process.stop()
        self.check(code == 0, f"a stop gave exit code {code}")
        self.outcome.broken += process.faults()

    def settle(self, server: Server | None = None) -> Server:
        """A service that has sent all, and was stopped."""
        server = server or self.server()
        server.await_drained(DRAIN_SECONDS)
        self.stop(server)
        return server

    def users(self, server: Server) -> list[tuple[str, int]]:
        return ledger.committed_users(server.query("SELECT hex(id), sequence FROM user"))

    def audit(self, server: Server | None = None) -> None:
        """Holds the ledger against the queue and the users' database."""
        server = self.settle(server)
        self.outcome.acknowledged += len(self.answers)
        events = self.broker.drain(keep=ledger.event_of)
        self.outcome.take(ledger.audit_events(events, self.answers, self.sent, self.users(server), self.forgiven))

    def audit_log(self, server: Server) -> set[str]:
        """Holds the ledger against the event log alone, for rows whose queue a worker empties; gives its ids."""
        self.settle(server)
        self.outcome.acknowledged += len(self.answers)
        rows = server.query("SELECT DISTINCT lower(hex(id)), kind, request_id, lower(hex(user_id)), sequence FROM event"
                            " ORDER BY position")
        kinds = ("user.create", "user.read", "user.update", "user.delete")
        events = [ledger.Event(dashed(id_), kinds[kind], request_id, dashed(user_id), sequence)
                  for id_, kind, request_id, user_id, sequence in rows]
        self.outcome.take(ledger.audit_events(events, self.answers, self.sent, self.users(server), self.forgiven))
        return {event.message_id for event in events}

    def audit_worker(self, server: Server, worker: Worker, letters: int = 0, discarded: Set[str] = frozenset()) -> None:
        """Every event processed once, and nothing else; letters: bad messages that must be dead letters, each
        with an own id; discarded: events that an operator gave up."""
        expected = self.audit_log(server) - discarded
        self.await_processed(worker, expected)
        if letters > 0:
            # A letter is acked after its confirm: a worker that stops before would leave the message in the queue.
            wait_for(lambda: not self.broker.has_unacked(), "acks of all messages", DRAIN_SECONDS, 0.1)
        self.stop(worker)
        inbox = {row[0] for row in query(worker.database, "SELECT message_id FROM inbox")}
        self.outcome.lost += [f"event {id_} was never processed" for id_ in expected - inbox]
        self.outcome.phantoms += [f"event {id_} was discarded, and processed" for id_ in inbox & discarded]
        self.count_projection(server, worker)
        found = {message.properties.message_id for message in self.broker.drain("user.dead")}
        bad = {f"bad-{i}" for i in range(letters)}
        self.outcome.lost += [f"the bad message {id_} is no dead letter" for id_ in bad - found]
        self.outcome.phantoms += [f"{id_} is a dead letter" for id_ in found - bad]

    def await_processed(self, worker: Worker, expected: set[str]) -> None:
        """Or until the queue is empty and the worker has nothing more to do: the audit tells what is missing."""
        def done() -> bool:
            return query(worker.database, "SELECT count(*) FROM inbox WHERE outcome = 0")[0][0] >= len(expected) \
                or (self.broker.depth() == 0 and time.monotonic() > quiet_at)

        quiet_at = time.monotonic() + 5
        wait_for(done, "a worker that has processed all", DRAIN_SECONDS, 0.1)
        wait_for(lambda: self.broker.depth() == 0, "an empty queue", DRAIN_SECONDS, 0.1)

    def count_projection(self, server: Server, worker: Worker) -> None:
        """Views and updates per user: one too many is an event that was processed twice."""
        events = server.query("SELECT lower(hex(user_id)), sum(kind = 1), sum(kind = 2) FROM"
                              " (SELECT DISTINCT id, user_id, kind FROM event"
                              " WHERE id NOT IN (SELECT id FROM unparked WHERE fate = 2)) GROUP BY user_id")
        wanted = {dashed(user): (views, updates) for user, views, updates in events}
        found = {key: (views, updates) for key, views, updates in
                 query(worker.database, "SELECT key, views, updates FROM user")}
        for user, counts in wanted.items():
            got = found.get(user, (0, 0))
            if got[0] > counts[0] or got[1] > counts[1]:
                self.outcome.phantoms.append(f"views and updates of {user} are {got} instead of {counts}")
            elif got != counts:
                self.outcome.lost.append(f"views and updates of {user} are {got} instead of {counts}")


def dashed(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@dataclass(frozen=True)
class Row:
    """rounds: in the short pass and in the long one; chunk: rounds of one scene, whose ledger is then audited
    and forgotten. controls: name -> member of Outcome that must not be empty."""

    name: str
    about: str
    play: Callable[[Scene], None]
    controls: Mapping[str, str]
    rounds: int = 1
    long_rounds: int = 1
    chunk: int = 10
    takes_long: bool = False  # begun first
