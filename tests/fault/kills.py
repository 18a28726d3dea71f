# SPDX-License-Identifier: Apache-2.0
"""Rows that end processes: the service, the broker, both; by SIGKILL anywhere and at named places, by SIGTERM."""
import os
import signal
import time

import sabotage
from harness.waiting import wait_for
from suite import CLOSED_PORT_URL, Row, Scene

EARLY = "store.answer_early=on,store.answered_early=delay:20"  # answered before the commit, and the answers are out
ANSWER_EARLY = EARLY + ",store.written=kill:{}"  # and then never committed
CONFIRM_EARLY = "bridge.confirm_early=on"  # called sent with the publish
FORGET = "bridge.forget=every:50"  # called sent, and never was

# name of the step -> hits of it to choose the deadly one from: some come with each request, some with each
# batch, positions every 20 ms
STEPS = {"http.parsed": 2000, "store.begun": 200, "store.outbox_written": 1500, "store.written": 200,
         "store.committed": 200, "http.replied": 1500, "bridge.published": 100, "bridge.confirmed": 1000,
         "store.position_written": 12}

QUEUE_AGE_SECONDS = 3

# what the service calls when it stores, sends to the broker, answers and reads
SYSCALLS = {"fdatasync": 60, "pwrite64": 400, "sendto": 40, "writev": 200, "recvfrom": 100, "epoll_wait": 100}


def kill_service(scene: Scene) -> None:
    """Anywhere in the work."""
    for _ in range(scene.rounds):
        early = scene.control == "answer_early"
        server = scene.server(failpoints=ANSWER_EARLY.format(scene.random.randint(20, 60)) if early else "")
        load = scene.load(server)
        if early:
            scene.await_death(server, "answered early")
        else:
            time.sleep(scene.random.uniform(0, 1.5 if scene.long else 1.0))
            server.kill()
        scene.keep(load.finish())
        scene.outcome.rounds += 1
    if scene.control in sabotage.OF_THE_LOG:
        # without a broker, so that there surely is something to sabotage
        server = scene.server(RABBIT_MQ_URL=CLOSED_PORT_URL)
        scene.load(server, answered=300)
        server.kill()
        scene.keep(scene.loads[-1].finish())
        sabotage.apply(server.database, scene.control)
    scene.audit()


def kill_at_steps(scene: Scene) -> None:
    steps = list(STEPS) if scene.control is None else ["store.written"]
    for number in range(scene.rounds if scene.control is None else 1):
        step = steps[number % len(steps)]
        failpoints = f"{step}=kill:{scene.random.randint(1, STEPS[step])}"
        if scene.control == "answer_early":
            failpoints += f",{EARLY}"
        server = scene.server(failpoints=failpoints, wait=False)
        server.await_log(event="ready")
        server.await_ready()
        load = scene.load(server, answered=0)
        scene.await_death(server, failpoints)
        scene.keep(load.finish())
        scene.outcome.rounds += 1
    scene.audit()


def kill_at_syscalls(scene: Scene) -> None:
    """By strace, which delivers the signal when the call is entered: it is never made. -D: the service stays our
    own child, and its process id the one that is waited for."""
    calls = list(SYSCALLS) if scene.control is None else ["pwrite64"]
    for number in range(scene.rounds if scene.control is None else 4):
        call = calls[number % len(calls)]
        when = scene.random.randint(40, 40 + SYSCALLS[call])
        failpoints = EARLY if scene.control == "answer_early" else ""
        server = scene.server(failpoints=failpoints, prefix=strace(call, f"signal=SIGKILL:when={when}"), wait=False)
        scene.outcome.rounds += 1
        try:
            server.await_ready()
            load = scene.load(server, answered=0)
        except (RuntimeError, OSError):  # killed in its start, which the next one must survive as well
            scene.await_death(server, f"call {when} of {call}")
            continue
        scene.await_death(server, f"call {when} of {call}")
        scene.keep(load.finish())
    scene.audit()


def strace(call: str, inject: str) -> tuple[str, ...]:
    return ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
            "-e", f"inject={call}:{inject}")


def pile_up(scene: Scene) -> None:
    """A broker that stands still for a moment has bytes in its socket that die with it."""
    for pid in scene.broker.pids():
        os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)


def let_the_queue_age(server) -> None:
    """RabbitMQ 3.10 writes whose log is whose (names.dets) when that was left alone for 500 ms: one that is killed right
    after it made a queue has forgotten the queue's log with all it confirmed, which is its loss and not ours. The row
    no_leader plays that."""
    server.await_log(event="publishing")
    time.sleep(QUEUE_AGE_SECONDS)


def kill_broker(scene: Scene) -> None:
    """Under a load that is answered all the time."""
    server = scene.server(failpoints=CONFIRM_EARLY if scene.control else "")
    let_the_queue_age(server)
    for _ in range(scene.rounds):
        load = scene.load(server, answered=300, pause=0.003)
        time.sleep(scene.random.uniform(0, 0.5))
        if scene.control:
            pile_up(scene)
        scene.broker.kill()
        scene.answered_more(load, 100, "without a broker")
        scene.broker.start()
        scene.keep(load.stop())
        scene.check(load.record.broken == 0, f"{load.record.broken} connections broke")
        server.await_drained(120)
        scene.outcome.rounds += 1
    scene.audit(server)


def kill_both(scene: Scene) -> None:
    """First the service or first the broker."""
    for number in range(scene.rounds):
        server = scene.server(failpoints=CONFIRM_EARLY if scene.control else "")
        if number == 0:
            let_the_queue_age(server)
        load = scene.load(server, answered=300)
        time.sleep(scene.random.uniform(0, 0.5))
        if scene.control:
            pile_up(scene)
        kills = [server.kill, scene.broker.kill]
        scene.random.shuffle(kills)
        for kill in kills:
            kill()
        scene.keep(load.finish())
        scene.broker.start()
        scene.outcome.rounds += 1
    scene.audit()


def sigterm(scene: Scene) -> None:
    """What was admitted is answered, and who comes later meets a closed port or a plain 503."""
    for _ in range(scene.rounds):
        server = scene.server()
        load = scene.load(server)
        time.sleep(scene.random.uniform(0, 0.3))
        server.process.send_signal(signal.SIGKILL if scene.control else signal.SIGTERM)
        code = server.process.wait(25)
        scene.check(code == 0, f"exit code {code}")
        record = scene.keep(load.finish(), refusable=(503,))
        unanswered = len(record.sent) - len(record.answers) - sum(record.refused.values())
        scene.check(unanswered <= len(load.connections), f"{unanswered} requests were not answered")
        scene.outcome.rounds += 1
    server = scene.settle()
    events = server.query("SELECT count(DISTINCT id) FROM event")[0][0]
    # nobody's change was made without an answer
    scene.check(events == len(scene.answers), f"{events} events for {len(scene.answers)} answers")
    scene.audit()


def restarts(scene: Scene) -> None:
    """Fifty in a minute, by SIGTERM and SIGKILL in turn, under clients that connect again."""
    server = scene.server()
    address = {"LISTEN": server.address, "ADMIN_LISTEN": "off"}
    scene.stop(server)
    server = scene.server(**address)
    load = scene.load(server, reconnect=True, pause=0.005)
    began = time.monotonic()
    count = 50 * scene.rounds if scene.control is None else 3
    for number in range(count):
        scene.answered_more(load, 20, "between restarts")
        if number % 2:
            server.kill()
        else:
            scene.stop(server)
        if scene.control in sabotage.EDITS and number == count - 1:
            sabotage.apply(server.database, scene.control)
        server = scene.server(**address, RABBIT_MQ_URL=CLOSED_PORT_URL if scene.control else scene.broker.url)
        scene.outcome.rounds += 1
    if scene.control:
        scene.stop(server)
        server = scene.server(**address)
    seconds = time.monotonic() - began
    scene.check(seconds < 60 * scene.rounds, f"{count} restarts took {seconds:.0f} s")
    wait_for(lambda: scene.answered_more(load, 20, "after the restarts") is None, "answers")
    scene.keep(load.stop(), refusable=(503,))
    scene.audit(server)


ROWS = (
    Row("kill_service", "SIGKILL to the service anywhere in its work", kill_service,
        {"answer_early": "lost"} | sabotage.OF_THE_LOG,
        rounds=3, long_rounds=200),
    Row("kill_at_steps", "SIGKILL to the service at every named step", kill_at_steps, {"answer_early": "lost"},
        rounds=len(STEPS), long_rounds=len(STEPS) * 4, chunk=len(STEPS)),
    Row("kill_at_syscalls", "SIGKILL to the service as it enters a system call", kill_at_syscalls,
        {"answer_early": "lost"}, rounds=len(SYSCALLS), long_rounds=len(SYSCALLS) * 4, chunk=len(SYSCALLS)),
    Row("kill_broker", "SIGKILL to the broker", kill_broker, {"confirm_early": "lost"}, rounds=1, long_rounds=50,
        chunk=5),
    Row("kill_both", "SIGKILL to service and broker", kill_both, {"confirm_early": "lost"}, rounds=1,
        long_rounds=20, chunk=5),
    Row("sigterm", "SIGTERM to the service under load", sigterm, {"sigkill_instead": "broken"}, rounds=2,
        long_rounds=20),
    Row("restarts", "50 restarts in a minute", restarts, {"drop_outbox": "lost"}),
)
