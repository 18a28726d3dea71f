# SPDX-License-Identifier: Apache-2.0
"""The routes, as a client sees them."""
import re

import pytest
import requests

from harness.broker import Broker
from harness.service import UUID7, Server

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
MEMBERS = ["id", "email", "first_name", "last_name", "view_count", "is_valid", "version", "created_at",
           "updated_at"]


def test_create(server: Server) -> None:
    answer = server.create("Ada@Example.org", headers={"X-Request-Id": "my-request"})
    assert answer.status_code == 200
    user = answer.json()
    assert list(user) == MEMBERS
    assert UUID7.match(user["id"])
    assert (user["email"], user["first_name"], user["last_name"]) == ("Ada@Example.org", "Ada", "Lovelace")
    assert (user["view_count"], user["is_valid"], user["version"]) == (0, True, 1)
    assert TIME.match(user["created_at"]) and user["created_at"] == user["updated_at"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Location"] == f"/users/{user['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["X-Request-Id"] == "my-request"


def test_read_by_email_and_by_id(server: Server) -> None:
    created = server.create("ada@example.org").json()
    by_email = server.request("GET", "/users/ADA%40example.org")
    assert by_email.status_code == 200
    assert by_email.json() == created | {"view_count": 1}
    by_id = server.request("GET", f"/users/{created['id'].upper()}")
    assert by_id.json() == created | {"view_count": 2}
    assert by_id.headers["ETag"] == '"1"'


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json",
                                        "application/json; charset=utf-8"])
def test_update(server: Server, media_type: str) -> None:
    created = server.create("ada@example.org").json()
    answer = server.request("PATCH", "/users/ada@example.org", data='{"first_name": "Augusta Ada"}',
                            headers={"Content-Type": media_type})
    assert answer.status_code == 200
    user = answer.json()
    assert user == created | {"first_name": "Augusta Ada", "version": 2, "updated_at": user["updated_at"]}
    assert user["updated_at"] > created["updated_at"]
    assert answer.headers["ETag"] == '"2"'


def test_update_of_the_email_moves_the_user(server: Server) -> None:
    server.create("old@example.org")
    assert server.request("PATCH", "/users/old@example.org", json={"email": "new@example.org"}).status_code == 200
    assert server.request("GET", "/users/old@example.org").status_code == 404
    assert server.request("GET", "/users/new@example.org").status_code == 200
    assert server.create("old@example.org").status_code == 200


def test_delete_disables(server: Server) -> None:
    created = server.create("ada@example.org").json()
    answer = server.request("DELETE", "/users/ada@example.org")
    assert answer.status_code == 200
    user = answer.json()
    assert user == created | {"is_valid": False, "version": 2, "updated_at": user["updated_at"]}
    assert server.request("GET", "/users/ada@example.org").json()["is_valid"] is False
    again = server.request("PATCH", "/users/ada@example.org", json={"is_valid": True})
    assert again.json()["is_valid"] is True


def test_what_changes_nothing_is_no_event(server: Server, broker: Broker) -> None:
    server.create("ada@example.org")
    same = server.request("PATCH", "/users/ada@example.org", json={"first_name": "Ada"})
    assert (same.status_code, same.json()["version"]) == (200, 1)
    assert server.request("PATCH", "/users/ada@example.org", json={}).json()["version"] == 1
    server.request("DELETE", "/users/ada@example.org")
    again = server.request("DELETE", "/users/ada@example.org")
    assert (again.status_code, again.json()["version"]) == (200, 2)
    server.await_drained()
    assert [message.properties.type for message in broker.drain()] == ["user.create", "user.delete"]


def test_unicode_survives(server: Server, broker: Broker) -> None:
    created = server.create("zoë@exämple.org", "Zoë \"the\" \\", "Ωμέγα 𝄞").json()
    assert (created["first_name"], created["last_name"]) == ('Zoë "the" \\', "Ωμέγα 𝄞")
    assert server.create("ZOË@EXÄMPLE.ORG").status_code == 409
    assert server.request("GET", "/users/zo%C3%8B@ex%C3%A4mple.org").json()["view_count"] == 1
    body = broker.take(1)[0].body.decode()
    assert "Ωμέγα 𝄞" in body


def test_list_walks_all_users_once(server: Server) -> None:
    emails = [f"user{i}@example.org" for i in range(25)]
    for email in emails:
        assert server.create(email).status_code == 200
    path, seen, pages = "/users?limit=10", [], 0
    while path:
        answer = server.request("GET", path)
        assert answer.status_code == 200
        page = answer.json()
        seen += [user["email"] for user in page["users"]]
        pages += 1
        link = answer.headers.get("Link")
        assert (link is None) == (page["next"] is None)
        path = re.fullmatch(r'<(.*)>; rel="next"', link)[1] if link else None
        if pages == 1:  # who comes in between is neither missed nor seen twice
            server.create("late@example.org")
    assert seen == emails + ["late@example.org"]
    assert pages == 3
    assert server.request("GET", "/users").json()["users"][0]["view_count"] == 0  # no views


def test_prefix(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url, BACKEND_API_PREFIX="/api/v1")
    answer = server.create("ada@example.org")
    assert answer.headers["Location"].startswith("/api/v1/users/")
    assert requests.get(f"http://{server.address}/users/ada@example.org").status_code == 404
    assert server.request("GET", "/users?limit=1").status_code == 200


def test_health_on_both_listeners(server: Server) -> None:
    for url in (server.url, server.admin_url):
        assert requests.get(url + "/livez").status_code == 200
        assert requests.get(url + "/readyz").status_code == 200
    assert requests.get(server.admin_url + "/users").status_code == 404


def test_every_answer_has_a_request_id(server: Server) -> None:
    made = server.request("GET", "/users/nobody@example.org").headers["X-Request-Id"]
    assert UUID7.match(made)
    refused = server.request("GET", "/users/nobody@example.org", headers={"X-Request-Id": "bad id\t"})
    assert refused.headers["X-Request-Id"] != "bad id\t"


def test_reads_can_be_silent(start, broker: Broker) -> None:
    server = start(Server, RABBIT_MQ_URL=broker.url, READ_EVENTS="off")
    server.create("ada@example.org")
    for _ in range(3):
        answer = server.request("GET", "/users/ada@example.org")
        assert (answer.json()["view_count"], answer.headers["View-Counted"]) == (0, "no")
    changed = server.request("PATCH", "/users/ada@example.org", json={"first_name": "Augusta"})
    assert (changed.status_code, "View-Counted" in changed.headers) == (200, False)
    assert server.request("GET", "/users/ada@example.org").json()["first_name"] == "Augusta"
    server.await_drained()
    assert [message.properties.type for message in broker.drain()] == ["user.create", "user.update"]
