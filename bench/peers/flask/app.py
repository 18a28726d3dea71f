# SPDX-License-Identifier: Apache-2.0
"""The original's design, to be compared with: Flask, a row in SQLite (synchronous=FULL), and a persistent message to a
durable quorum queue, published within the request. Nothing joins the two, and that is its flaw, not this copy's.

One connection to the database and to the broker per worker process, as gunicorn's sync workers have one request at a time.
Environment: PEER_DATABASE (a path), RABBIT_MQ_URL.
"""
import json
import os
import sqlite3
import uuid

import pika
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
COLUMNS = ("id", "email", "first_name", "last_name", "view_count")
_kept: dict = {}


def database() -> sqlite3.Connection:
    if "database" not in _kept:
        connection = sqlite3.connect(os.environ["PEER_DATABASE"], timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS user (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, first_name TEXT NOT NULL,"
                           " last_name TEXT NOT NULL, view_count INTEGER NOT NULL)")
        _kept["database"] = connection
    return _kept["database"]


def channel() -> pika.adapters.blocking_connection.BlockingChannel:
    if "channel" not in _kept:
        opened = pika.BlockingConnection(pika.URLParameters(os.environ["RABBIT_MQ_URL"].rstrip("/") + "/%2F?heartbeat=0")).channel()
        opened.queue_declare("user", durable=True, arguments={"x-queue-type": "quorum"})
        _kept["channel"] = opened
    return _kept["channel"]


def announce(kind: str, user: dict) -> None:
    channel().basic_publish("", "user", json.dumps({"queue": "user", "context": user}),
                            pika.BasicProperties(content_type="application/json", delivery_mode=2, type=kind))


@app.post("/users")
def create() -> Response:
    body = request.get_json()
    user = {"id": str(uuid.uuid4()), "view_count": 0} | {key: body[key] for key in ("email", "first_name", "last_name")}
    with database() as connection:
        connection.execute("INSERT INTO user VALUES (?, ?, ?, ?, ?)", [user[key] for key in COLUMNS])
    announce("user.create", user)
    return jsonify(user)


@app.get("/users/<email>")
def read(email: str):
    with database() as connection:
        row = connection.execute("UPDATE user SET view_count = view_count + 1 WHERE email = ? RETURNING *", [email]).fetchone()
    if row is None:
        return jsonify({"title": "no such user"}), 404
    user = dict(zip(COLUMNS, row))
    announce("user.read", user)
    return jsonify(user)


@app.get("/livez")
def live() -> Response:
    return jsonify({"status": "up"})
