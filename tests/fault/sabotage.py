# SPDX-License-Identifier: Apache-2.0
"""Edits of the users' database that an audit must notice: each gives how many events it touched."""
import pathlib
import sqlite3

# Two neighbouring writes of one user, the newest there are: older ones may have been sent already.
PAIR = """SELECT a.position, b.position FROM event a JOIN event b
          ON a.user_id = b.user_id AND b.sequence = a.sequence + 1
          WHERE a.kind <> 1 AND b.kind <> 1 AND a.position > :low
          AND a.position > (SELECT max(position) - 1000 FROM event)
          ORDER BY a.position DESC LIMIT 1"""


def drop_outbox(connection: sqlite3.Connection, low: int) -> int:
    return connection.execute("DELETE FROM event WHERE position > :low", {"low": low}).rowcount


def reorder(connection: sqlite3.Connection, low: int) -> int:
    first, second = connection.execute(PAIR, {"low": low}).fetchone()
    for old, new in ((first, -1), (second, first), (-1, second)):
        connection.execute("UPDATE event SET position = ? WHERE position = ?", (new, old))
    return 2


def phantom(connection: sqlite3.Connection, low: int) -> int:
    """Of nobody: of a user, a start would take it for what tells how often that one was viewed."""
    del low
    return connection.execute(
        "INSERT INTO event SELECT position + 1, partition, kind, 1000000, randomblob(16), randomblob(16),"
        " created_us, request_id, traceparent, tracestate, body FROM event ORDER BY position DESC LIMIT 1"
    ).rowcount


def rename(connection: sqlite3.Connection, low: int) -> int:
    """The newest event once more, with another id."""
    del low
    return connection.execute(
        "INSERT INTO event SELECT position + 1, partition, kind, sequence, user_id, randomblob(16),"
        " created_us, request_id, traceparent, tracestate, body FROM event ORDER BY position DESC LIMIT 1"
    ).rowcount


def drop_parked(connection: sqlite3.Connection, low: int) -> int:
    del low
    return connection.execute("DELETE FROM parked").rowcount


def invent_parked(connection: sqlite3.Connection, low: int) -> int:
    """Behind the last one of a lane, another that nobody asked for."""
    del low
    return connection.execute(
        "INSERT INTO parked SELECT row + 1000000, partition, kind, sequence + 1000000, user_id, randomblob(16),"
        " created_us, request_id, traceparent, tracestate, body FROM parked ORDER BY row DESC LIMIT 1").rowcount


# What each must show up as: a member of ledger.Findings.
EDITS = {"drop_outbox": (drop_outbox, "lost"), "reorder": (reorder, "order_violations"),
         "phantom": (phantom, "phantoms"), "rename": (rename, "renamed"),
         "drop_parked": (drop_parked, "lost"), "invent_parked": (invent_parked, "phantoms")}

# Those that a log in which nothing is parked can be given.
OF_THE_LOG = {name: shows for name, (_, shows) in EDITS.items() if not name.endswith("_parked")}


def apply(database: pathlib.Path, name: str) -> int:
    """To a database that nobody has open."""
    connection = sqlite3.connect(database, timeout=30)
    low = connection.execute("SELECT coalesce(max(confirmed), 0) FROM position WHERE partition = 64").fetchone()[0]
    changed = EDITS[name][0](connection, low)
    connection.commit()
    connection.close()
    assert changed > 0, "nothing was there to sabotage"
    return changed
