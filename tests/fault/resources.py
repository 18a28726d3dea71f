# SPDX-License-Identifier: Apache-2.0
"""Rows about what surrounds a process: its clock, its descriptors, and clients that are slow or gone."""
import glob
import os
import resource
import signal
import socket
import struct
import threading
import time

from harness.load import Answer
from harness.waiting import wait_for
from network import failpoints_of
from suite import NotPossible, Row, Scene

SLOW_SECONDS = 2.0  # longer than an answer to anybody may take beside slow clients


def clock_jumps(scene: Scene) -> None:
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        raise NotPossible("no libfaketime: scripts/packages test")
    offset = scene.folder / "offset"
    offset.write_text("+0\n")
    server = scene.server(LD_PRELOAD=found[0], FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
                          FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_DISABLE_SHM="1",
                          failpoints=failpoints_of(scene))
    # h2o's timers go by the wall clock, so a jump forward ends connections that are idle then
    load = scene.load(server, answered=100, pause=0.005, reconnect=True)
    for jump in ("+90000", "-90000", "+0", "-3600", "+7200"):
        if scene.has_fault:
            offset.write_text(f"{jump}\n")
        scene.answered_more(load, 150, "after a jump of the clock")
        scene.outcome.rounds += 1
    scene.keep(load.stop())
    server.await_drained()
    times = [row[0] for row in server.query("SELECT created_us FROM event ORDER BY position")]
    back = sum(later < earlier - 60e6 for earlier, later in zip(times, times[1:]))
    scene.hit(back >= 2 and max(times) - min(times) > 100000e6, "the service's clock did not jump")
    ids, users = server.query("SELECT count(DISTINCT id), count(*) FROM event")[0], \
        server.query("SELECT count(DISTINCT id), count(*) FROM user")[0]
    scene.check(ids[0] == ids[1] and users[0] == users[1], f"ids are not unique: {ids} {users}")
    scene.audit(server)


def descriptors(scene: Scene) -> None:
    server = scene.server(failpoints=failpoints_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, pause=0.01, reconnect=True)
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    if scene.has_fault:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 3, limits[1]))
    held = [socket.create_connection((server.host, server.port), timeout=5) for _ in range(30)]
    try:
        wait_for(lambda: server.log_lines(event="accepting_paused"), "no descriptor is left",
                 10 if scene.has_fault else 1)
    except TimeoutError:
        scene.outcome.not_hit.append("descriptors never ran out")
    scene.answered_more(load, 100, "on connections that were open before")
    scene.check(server.is_running(), "the service ended")
    for connection in held:
        connection.close()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    wait_for(lambda: server.request("GET", "/users?limit=1").status_code == 200, "new connections", 20)
    scene.keep(load.stop(), refusable=(503,))
    scene.outcome.rounds += 1
    scene.audit(server)


def drip(server, stop: threading.Event, count: int) -> None:
    """Requests that arrive a byte at a time, and never whole."""
    slow = []
    for _ in range(count):
        connection = socket.create_connection((server.host, server.port), timeout=5)
        connection.sendall(b"POST /users HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\n")
        slow.append(connection)
    while not stop.wait(0.2):
        for connection in slow:
            try:
                connection.send(b"X")
            except OSError:
                pass  # the service had enough of it
    for connection in slow:
        connection.close()


def slow_clients(scene: Scene) -> None:
    server = scene.server()
    stop = threading.Event()
    dripping = threading.Thread(target=drip, args=(server, stop, 300), daemon=True)
    dripping.start()
    load = scene.load(server, pause=0.005)
    if scene.control == "frozen":
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(SLOW_SECONDS + 0.5)
        os.kill(server.pid, signal.SIGCONT)
    scene.answered_more(load, 3000, "beside slow clients")
    stop.set()
    dripping.join()
    scene.keep(load.stop())
    scene.check(load.slowest < SLOW_SECONDS, f"an answer took {load.slowest:.1f} s")
    scene.outcome.rounds += 1
    scene.audit(server)


def vanish(scene: Scene, server, number: int, whole: bool) -> None:
    body = f'{{"email":"gone-{number}@example.org","first_name":"Ada","last_name":"Byron"}}'
    text = (f"POST /users HTTP/1.1\r\nHost: gone\r\nX-Request-Id: gone-{number}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no good-bye
        connection.sendall((text if whole else text[:-10]).encode())
        if number % 3 == 0:
            time.sleep(0.002)


def vanishing(scene: Scene) -> None:
    server = scene.server()
    load = scene.load(server, pause=0.01)
    for number in range(400):
        whole = number % 2 == 0
        if whole:
            scene.sent.add(f"gone-{number}")  # which may have become an event, and half a request must not
        vanish(scene, server, number, whole)
    if scene.control == "half_counted":
        scene.answers.append(Answer("gone-1", "user.create", "nobody"))
    scene.answered_more(load, 100, "after clients that vanished")
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)
    made = server.query("SELECT count(*) FROM user WHERE email LIKE 'gone-%'")[0][0]
    scene.hit(made > 0, "no request of a client that vanished was done")


ROWS = (
    Row("clock_jumps", "the wall clock jumps forward and back", clock_jumps, {"steady": "not_hit", "forget": "lost"}),
    Row("descriptors", "no file descriptor is left", descriptors, {"enough": "not_hit", "forget": "lost"}),
    Row("slow_clients", "300 requests that arrive a byte at a time", slow_clients, {"frozen": "broken"}),
    Row("vanishing", "clients that reset their connection at once", vanishing, {"half_counted": "lost"}),
)
