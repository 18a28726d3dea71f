# SPDX-License-Identifier: Apache-2.0
"""Rows about what lies between the service and the broker: a bad line, a lost link, a name that nobody knows; and a
broker that stands still."""
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

from disk import command
from harness.tcp_proxy import TcpProxy
from harness.waiting import wait_for
from kills import CONFIRM_EARLY, FORGET
from suite import NotPossible, Row, Scene

CLONE_NEWNET = 0x40000000
SLICE_BYTES = 7
HERE, THERE = "10.213.77.1", "10.213.77.2"


def port_of(scene: Scene) -> int:
    return urllib.parse.urlsplit(scene.broker.url).port


def failpoints_of(scene: Scene) -> str:
    return {"confirm_early": CONFIRM_EARLY, "forget": FORGET}.get(scene.control or "", "")


def heartbeat_of(scene: Scene) -> dict[str, str]:
    """A row shows what the default promises; its controls need not wait as long."""
    return {"BROKER_HEARTBEAT": "2"} if scene.control else {}


def first_answer(host: str, port: int) -> float:
    began = time.monotonic()
    with socket.create_connection((host, port), timeout=20) as probe:
        probe.sendall(b"AMQP\0\0\x09\x01")
        probe.recv(1)
    return time.monotonic() - began


def through_proxy(scene: Scene, disturb) -> None:
    proxy = TcpProxy("127.0.0.1", port_of(scene))
    scene.cleanups.append(proxy.close)
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=proxy.amqp_url(), **heartbeat_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, answered=200, pause=0.005)
    for _ in range(scene.rounds):
        disturb(scene, proxy, server, load)
        proxy.pass_on()
        scene.outcome.rounds += 1
    record = scene.keep(load.stop())
    scene.check(record.broken == 0, f"{record.broken} clients' connections broke")
    scene.audit(server)


def delay(scene, proxy, server, load) -> None:
    if scene.control != "undisturbed":
        proxy.delay(150)
    scene.hit(first_answer(proxy.host, proxy.port) >= 0.3, "nothing was delayed")
    scene.answered_more(load, 500, "over a slow line")


def slice_(scene, proxy, server, load) -> None:
    if scene.control != "undisturbed":
        proxy.slice(SLICE_BYTES)
    scene.answered_more(load, 500, "over a line of small pieces")
    wait_for(lambda: sum(proxy.pieces.values()) > 100, "pieces on the line", 30)
    scene.hit(proxy.pieces[SLICE_BYTES] > 20, "nothing was sliced")


def disconnections(server) -> int:
    return len(server.log_lines(event="disconnected"))


def await_disconnection(scene, server, before: int, seconds: float, what: str) -> None:
    try:
        wait_for(lambda: disconnections(server) > before, what, seconds)
    except TimeoutError:
        scene.outcome.not_hit.append(f"not noticed: {what}")


def cut(scene, proxy, server, load) -> None:
    before = disconnections(server)
    wait_for(lambda: len(server.log_lines(event="publishing")) > before, "a connection to cut", 20)
    if scene.control != "undisturbed":
        proxy.freeze()  # so that something is on the way
        time.sleep(0.2)
        proxy.cut()
    await_disconnection(scene, server, before, 10 if scene.control is None else 2, "a cut line")


def black_hole(scene, proxy, server, load) -> None:
    """Noticed within twice the heartbeat of ten seconds, while requests are answered."""
    before = disconnections(server)
    if scene.control != "undisturbed":
        proxy.black_hole()
    await_disconnection(scene, server, before, 22 if scene.control != "undisturbed" else 1, "a black hole")
    scene.answered_more(load, 50, "beside a black hole")


def play(disturb):
    return lambda scene: through_proxy(scene, disturb)


def frozen_broker(scene: Scene) -> None:
    server = scene.server(failpoints=failpoints_of(scene), **heartbeat_of(scene))
    server.await_log(event="publishing")
    load = scene.load(server, answered=200, pause=0.01)
    before = disconnections(server)
    pids = scene.broker.pids() if scene.has_fault else []
    scene.cleanups.append(lambda: [os.kill(pid, signal.SIGCONT) for pid in pids])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await_disconnection(scene, server, before, 25 if scene.has_fault else 1, "a broker that stands still")
    scene.answered_more(load, 100, "beside a frozen broker")
    scene.cleanups.pop()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


# --- a namespace of its own -------------------------------------------------------------------------------------

def listener_in(namespace: str) -> socket.socket:
    """A socket belongs to the namespace of the thread that makes it."""
    made: list = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}", "rb") as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                made.append(NotPossible(f"setns: {os.strerror(ctypes.get_errno())}"))
                return
        listener = socket.socket()
        listener.bind((THERE, 0))
        listener.listen(64)
        made.append(listener)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], Exception):
        raise made[0]
    return made[0]


class Link:
    """A pair of network devices: ours here, the other in a namespace where a proxy to the broker listens."""

    def __init__(self, scene: Scene) -> None:
        if os.geteuid() != 0:
            raise NotPossible("a network namespace needs root")
        self.namespace, self.device = f"userbus{os.getpid()}", f"ub{os.getpid()}"
        command("ip", "netns", "add", self.namespace)
        scene.cleanups.append(lambda: subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True))
        command("ip", "link", "add", self.device, "type", "veth", "peer", "name", "there", "netns", self.namespace)
        scene.cleanups.append(lambda: subprocess.run(["ip", "link", "del", self.device], capture_output=True))
        command("ip", "address", "add", f"{HERE}/30", "dev", self.device)
        command("ip", "link", "set", self.device, "up")
        self.inside("ip", "address", "add", f"{THERE}/30", "dev", "there")
        self.inside("ip", "link", "set", "there", "up")
        self.proxy = TcpProxy("127.0.0.1", port_of(scene), listener=listener_in(self.namespace))
        scene.cleanups.append(self.proxy.close)

    def inside(self, *words: str) -> None:
        command("ip", "netns", "exec", self.namespace, *words)

    def lose(self, probability: float) -> None:
        for chain in ("INPUT", "OUTPUT"):
            self.inside("iptables", "-w", "-A", chain, "-m", "statistic", "--mode", "random", "--probability",
                        str(probability), "-j", "DROP")

    def lost(self) -> int:
        text = subprocess.run(["ip", "netns", "exec", self.namespace, "iptables", "-w", "-nvxL"], text=True,
                              capture_output=True, check=True).stdout
        return sum(int(line.split()[0]) for line in text.splitlines() if " DROP " in line and "statistic" in line)

    def stop_losing(self) -> None:
        for chain in ("INPUT", "OUTPUT"):
            self.inside("iptables", "-w", "-F", chain)

    def set(self, state: str) -> None:
        command("ip", "link", "set", self.device, state)


def packet_loss(scene: Scene) -> None:
    link = Link(scene)
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=link.proxy.amqp_url())
    server.await_log(event="publishing")
    load = scene.load(server, answered=100, pause=0.01)
    if scene.has_fault:
        link.lose(0.15)
    else:
        link.lose(0)
    scene.answered_more(load, 1500, "over a line that loses packets")
    lost = link.lost()
    scene.hit(lost >= 10, f"only {lost} packets were lost")
    link.stop_losing()
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


def low_position(server) -> int:
    return server.query("SELECT coalesce(max(confirmed), 0) FROM position WHERE partition = 64")[0][0]


def link_down(scene: Scene) -> None:
    link = Link(scene)
    server = scene.server(failpoints=failpoints_of(scene), RABBIT_MQ_URL=link.proxy.amqp_url())
    server.await_log(event="publishing")
    load = scene.load(server, answered=200, pause=0.01)
    for _ in range(scene.rounds):
        if scene.has_fault:
            link.set("down")
        time.sleep(0.5)  # what was confirmed before is saved by then
        before = low_position(server)
        scene.answered_more(load, 300, "without a link")
        scene.hit(low_position(server) == before, "confirms came all the time")
        link.set("up")
        scene.outcome.rounds += 1
    scene.keep(load.stop())
    scene.audit(server)


def dns(scene: Scene) -> None:
    """Nobody knows the name, and the name server does not even answer; then the name is in /etc/hosts."""
    if os.geteuid() != 0:
        raise NotPossible("a hosts file of its own needs root")
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.66", 53))
    scene.cleanups.append(silent.close)
    hosts, resolv = scene.folder / "hosts", scene.folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.66\noptions timeout:1 attempts:1\n")
    known = "127.0.0.1 localhost broker.userbus.test\n"
    hosts.write_text("127.0.0.1 localhost\n" if scene.has_fault else known)
    prefix = ("unshare", "-m", "--propagation", "private", "sh", "-c",
              f'mount --bind "{hosts}" /etc/hosts && mount --bind "{resolv}" /etc/resolv.conf && exec "$@"', "sh")
    url = f"amqp://guest:guest@broker.userbus.test:{port_of(scene)}/"
    server = scene.server(prefix=prefix, RABBIT_MQ_URL=url)
    load = scene.load(server, pause=0.01)
    try:
        server.await_log(event="connect_failed", seconds=20 if scene.has_fault else 2)
    except TimeoutError:
        scene.outcome.not_hit.append("the name was known")
    scene.answered_more(load, 300, "without a name server")
    server = scene.sabotage(server, load, lambda: scene.server(prefix=prefix, RABBIT_MQ_URL=url))
    hosts.write_text(known)
    scene.keep(load.stop())
    scene.outcome.rounds += 1
    scene.audit(server)


UNDISTURBED = {"undisturbed": "not_hit"}
FORGOTTEN = {"forget": "lost"}
ROWS = (
    Row("proxy_delay", "150 ms each way to the broker", play(delay), UNDISTURBED | FORGOTTEN),
    Row("proxy_slice", "pieces of 7 bytes", play(slice_), UNDISTURBED | FORGOTTEN),
    Row("proxy_cut", "a connection reset with events on the way", play(cut), UNDISTURBED | {"confirm_early": "lost"},
        rounds=2, long_rounds=20),
    Row("proxy_black_hole", "everything is taken, nothing passed on", play(black_hole),
        UNDISTURBED | {"confirm_early": "lost"}, takes_long=True),
    Row("frozen_broker", "SIGSTOP to the broker", frozen_broker, {"not_frozen": "not_hit"} | FORGOTTEN,
        takes_long=True),
    Row("packet_loss", "15% of packets in each direction", packet_loss, {"no_loss": "not_hit"} | FORGOTTEN),
    Row("link_down", "a network device taken down", link_down, {"stays_up": "not_hit"} | FORGOTTEN,
        long_rounds=5),
    Row("dns", "the broker's name cannot be looked up", dns, {"name_known": "not_hit", "reorder": "order_violations"}),
)
