# SPDX-License-Identifier: Apache-2.0
"""What goes into a worker, and what it reports."""
import json
import uuid

import pika

from .service import Worker, run
from .waiting import wait_for


def report(worker: Worker) -> dict:
    done = run("report", "--json", CONSUMER_DATABASE_URL=f"sqlite:{worker.database}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def await_report(worker: Worker, **wanted: int) -> dict:
    def look() -> dict | None:
        told = report(worker)
        return told if all(told[key] == value for key, value in wanted.items()) else None

    return wait_for(look, f"a report with {wanted}")


def event(email: str, message_id: str, type_: str, sequence: int = 1, **more) -> tuple[bytes, pika.BasicProperties]:
    """As our bridge would publish it."""
    user_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, email))
    context = {"id": user_id, "email": email, "first_name": "Ada", "last_name": "Byron", "is_valid": True}
    body = {"created_at": "2026-11-23T21:39:48.123456", "queue": "user", "context": context | more}
    properties = pika.BasicProperties(message_id=message_id, type=type_, content_type="application/json",
                                      delivery_mode=2, headers={"cloudEvents_sequence": str(sequence)})
    return json.dumps(body).encode(), properties
