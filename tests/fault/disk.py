# SPDX-License-Identifier: Apache-2.0
"""Rows about the disk under the users' database: power that fails, a full disk, a failing one."""
import fcntl
import os
import pathlib
import signal
import struct
import subprocess
import time

from harness.service import Server
from harness.waiting import wait_for
from kills import EARLY, strace
from suite import CLOSED_PORT_URL, NotPossible, Row, Scene

EXT4_IOC_SHUTDOWN = 0x8004587D  # linux/ext4: _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2  # what is not on the disk now, never will be
ANSWER_EARLY = "store.answer_early=on"


def command(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True)
    if done.returncode != 0:
        raise NotPossible(f"{' '.join(map(str, words[:3]))}: {done.stderr.strip()}")


def mount(scene: Scene, *arguments: object) -> pathlib.Path:
    if os.geteuid() != 0:
        raise NotPossible("mounting needs root")
    point = scene.folder / "disk"
    point.mkdir(exist_ok=True)
    command("mount", *arguments, point)
    scene.cleanups.append(lambda: subprocess.run(["umount", "-l", point], capture_output=True))
    return point


def cut_power(point: pathlib.Path) -> None:
    """The file system stops as a machine without power does; unmounting it writes nothing any more."""
    folder = os.open(point, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(folder)


def stand_still(server: Server) -> None:
    """No call of it is under way any more. The shutdown races with a sync in flight: ext4 of Linux 6.18 may then return
    0 from fdatasync though the data is gone (a plain write-and-sync loop shows it in one cut of twenty). So what is cut
    is the time between calls; a cut within a sync is not played."""
    def stopped() -> bool:
        tasks = list(pathlib.Path(f"/proc/{server.pid}/task").iterdir())
        return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in tasks)

    os.kill(server.pid, signal.SIGSTOP)
    wait_for(stopped, "threads that stand still", 10, 0.001)


def power_loss(scene: Scene) -> None:
    image = scene.folder / "image"
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    command("mkfs.ext4", "-q", "-F", image)
    shim = scene.folder / "no_sync.so"
    command("cc", "-shared", "-fPIC", "-o", shim, pathlib.Path(__file__).with_name("no_sync.c"))
    # the kernel itself would write what is left every five seconds, which would help a store that does not sync
    options = ("-o", "loop,commit=300", image)
    # without a broker, or the queue would still have what the store forgot
    settings = {"DATABASE_URL": f"sqlite:{scene.folder / 'disk' / 'userbus.db'}", "RABBIT_MQ_URL": CLOSED_PORT_URL}
    if scene.control == "no_sync":
        settings["LD_PRELOAD"] = str(shim)
    for _ in range(scene.rounds):
        point = mount(scene, *options)
        server = scene.server(**settings)
        load = scene.load(server)
        time.sleep(scene.random.uniform(0, 0.7))
        stand_still(server)
        cut_power(point)
        server.kill()
        scene.keep(load.finish(), refusable=(503,))
        command("umount", point)
        scene.outcome.rounds += 1
    mount(scene, *options)
    try:
        server = scene.server(DATABASE_URL=settings["DATABASE_URL"])
    except RuntimeError as error:
        scene.outcome.lost.append(f"the database cannot be opened any more: {error}")
        return
    scene.audit(server)


def say_refused(scene: Scene, server: Server, load, what: str) -> None:
    def refused() -> bool:
        return load.record.refused.get(503, 0) > 0 or load.record.uncounted > 0

    try:
        wait_for(refused, what, 20 if scene.control is None else 2)
    except TimeoutError:
        scene.outcome.not_hit.append(f"nothing was refused: {what}")
    scene.check(server.is_running(), "the service ended")


def disk_full(scene: Scene) -> None:
    """A small tmpfs that something else fills. Reads go on, writes are refused, and with room again all is well."""
    point = mount(scene, "-t", "tmpfs", "-o", "size=24m", "tmpfs")
    server = scene.server(failpoints=ANSWER_EARLY if scene.control == "answer_early" else "",
                          DATABASE_URL=f"sqlite:{point / 'userbus.db'}")
    load = scene.load(server, pause=0.005, reconnect=True)
    for _ in range(scene.rounds):
        ballast = point / "ballast"
        if scene.control != "room_enough":
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    pass
            say_refused(scene, server, load, "a full disk")
            ballast.unlink()
        else:
            scene.hit(False, "the disk was never full")
        scene.answered_more(load, 200, "with room again")
        scene.outcome.rounds += 1
    scene.keep(load.stop(), refusable=(503,))
    scene.audit(server)


def eio(scene: Scene) -> None:
    """Never retried, never acknowledged: the process ends with a clear line, and the next one recovers."""
    early = scene.control == "answer_early"
    # what a failed sync was for, is in the file all the same, and the next start finds it; so the control's writes fail, and
    # without a broker, since a batch of positions has nobody to answer
    for call, more in (("pwrite64", "+"),) if early else (("fdatasync", ""), ("pwrite64", "+")) * scene.rounds:
        when = scene.random.randint(130, 250) + 200 * early if scene.has_fault else 60000
        # one failed sync must be enough; single writes to the shared memory file are SQLite's to repeat
        server = scene.server(failpoints=EARLY if early else "",
                              RABBIT_MQ_URL=CLOSED_PORT_URL if early else scene.broker.url,
                              prefix=strace(call, f"error=EIO:when={when}{more}"), wait=False)
        load = None
        try:
            server.await_ready()
            load = scene.load(server, answered=0)
            wait_for(lambda: not server.is_running(), "the end", 15 if scene.has_fault else 1)
        except TimeoutError:
            scene.outcome.not_hit.append(f"{call} failed, and the service went on")
            server.kill()
        except (RuntimeError, OSError):
            wait_for(lambda: not server.is_running(), "the end of a start that failed", 15)
        if scene.has_fault:
            text = server.log_text()
            scene.check((server.process.returncode or 0) > 0, f"it ended with {server.process.returncode}")
            scene.check("check the disk" in text or "disk I/O error" in text, f"no line says what to do: {text[-300:]}")
        if load is not None:
            scene.keep(load.finish(), refusable=(503,))
        scene.outcome.rounds += 1
    scene.audit()


def enospc(scene: Scene) -> None:
    failpoints = ANSWER_EARLY if scene.control == "answer_early" else ""
    server = scene.server(failpoints=failpoints, prefix=strace("pwrite64", "error=ENOSPC:when=200..230"))
    load = scene.load(server, answered=0, pause=0.005)
    say_refused(scene, server, load, "no space left")
    scene.answered_more(load, 200, "with space again")
    scene.keep(load.stop(), refusable=(503,))
    scene.outcome.rounds += 1
    scene.audit(server)


ROWS = (
    Row("power_loss", "a file system that stops and forgets what was not synced", power_loss, {"no_sync": "lost"},
        rounds=2, long_rounds=20),
    Row("disk_full", "a file system without room", disk_full, {"answer_early": "lost", "room_enough": "not_hit"},
        long_rounds=5),
    Row("eio", "writes and syncs that fail", eio, {"never": "not_hit", "answer_early": "lost"}, long_rounds=5),
    Row("enospc", "writes that find no space", enospc, {"answer_early": "lost"}, long_rounds=5, chunk=1),
)
