# SPDX-License-Identifier: Apache-2.0
"""Holds what clients were answered against what came through the queue and what the database says."""
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .broker import Received
from .load import Answer

Changes = frozenset[tuple[str, int]] | set[tuple[str, int]]
WRITES = {"user.create", "user.update", "user.delete"}


@dataclass
class Findings:
    """What should all be empty. Each entry says what was found."""

    lost: list[str] = field(default_factory=list)
    order_violations: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)  # duplicates with another id
    events: int = 0  # without the duplicates
    duplicates: int = 0

    def clean(self) -> bool:
        return not (self.lost or self.order_violations or self.phantoms or self.renamed)


class Event(NamedTuple):
    """One message, without its body."""

    message_id: str
    type: str
    request_id: str
    user_id: str
    sequence: int


def event_of(message: Received) -> Event:
    headers = message.headers
    return Event(message.properties.message_id, message.properties.type, message.properties.correlation_id,
                 headers["cloudEvents_subject"], int(headers["cloudEvents_sequence"]))


def first_deliveries(deliveries: Iterable[Event], findings: Findings) -> list[Event]:
    seen: dict[str, Event] = {}
    for event in deliveries:
        before = seen.setdefault(event.message_id, event)
        if before is not event:
            findings.duplicates += 1
            if before != event:
                findings.phantoms.append(f"{event} came before as {before}")
    findings.events = len(seen)
    return list(seen.values())


def check_order(events: list[Event], findings: Findings) -> None:
    """Only reads may change places, and only with reads."""
    last_write: dict[str, int] = {}
    last: dict[str, int] = {}
    for event in events:
        barrier = last if event.type in WRITES else last_write
        if event.sequence < barrier.get(event.user_id, 0):
            findings.order_violations.append(f"{event} came after sequence {barrier[event.user_id]}")
        last[event.user_id] = max(event.sequence, last.get(event.user_id, 0))
        if event.type in WRITES:
            last_write[event.user_id] = max(event.sequence, last_write.get(event.user_id, 0))


def check_answers(events: list[Event], answers: list[Answer], sent: set[str], findings: Findings) -> None:
    """Every answer has its event, and every event a request."""
    by_request = {event.request_id: event for event in events}
    for answer in answers:
        event = by_request.get(answer.request_id)
        if event is None:
            findings.lost.append(f"{answer} was answered 200 and has no event")
        elif (event.type, event.user_id) != (answer.type, answer.user_id):
            findings.phantoms.append(f"{event} stands for {answer}")
    findings.phantoms += [f"{event} was never asked for" for event in events if event.request_id not in sent]


def check_users(events: list[Event], users: list[tuple[str, int]], forgiven: Changes, findings: Findings) -> None:
    """users: id and sequence as committed. Each sequence from 1 must have one event, and none more."""
    committed = dict(users)
    seen: dict[str, set[int]] = {user_id: set() for user_id in committed}
    for event in events:
        sequences = seen.setdefault(event.user_id, set())
        if not 1 <= event.sequence <= committed.get(event.user_id, 0):
            findings.phantoms.append(f"{event} stands for no committed change")
        elif event.sequence in sequences:
            findings.renamed.append(f"{event} is a second event of that change")
        sequences.add(event.sequence)
    for user_id, sequence in committed.items():
        for missing in set(range(1, sequence + 1)) - seen[user_id]:
            if (user_id, missing) in forgiven:
                continue
            findings.lost.append(f"change {missing} of {user_id} was committed and has no event")


def audit_events(deliveries: Iterable[Event], answers: list[Answer], sent: set[str],
                 users: list[tuple[str, int]], forgiven: Changes = frozenset()) -> Findings:
    """forgiven: changes (user, sequence) whose events may be missing, since somebody deleted them; no answer
    of theirs may be among the answers."""
    findings = Findings()
    events = first_deliveries(deliveries, findings)
    check_order(events, findings)
    check_answers(events, answers, sent, findings)
    check_users(events, users, forgiven, findings)
    return findings


def audit(messages: list[Received], answers: list[Answer], sent: set[str],
          users: list[tuple[str, int]]) -> Findings:
    return audit_events(map(event_of, messages), answers, sent, users)


def committed_users(rows: list[tuple]) -> list[tuple[str, int]]:
    """Of `SELECT hex(id), sequence FROM user`."""
    users = []
    for hex_id, sequence in rows:
        text = hex_id.lower()
        users.append(("-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])), sequence))
    return users
