# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import time

import pytest
from measure import accounts
from measure.accounts import TICK


def test_cpu_time_of_a_process_with_a_hostile_name():
    line = "7 (a) b 1 2) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10 0"
    assert accounts.stat_seconds(line) == (250 * TICK, 50 * TICK)


def test_waiting_for_the_disk_is_idle_and_stolen_time_is_not():
    stat = "cpu  100 10 30 5000 400 5 6 7 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    assert accounts.busy_seconds(stat) == pytest.approx((100 + 10 + 30 + 5 + 6 + 7) * TICK)


@pytest.mark.parametrize("machine, ours, share", [
    (10.0, 10.0, 0.0), (11.0, 10.0, 0.1), (9.9, 10.0, 0.0), (20.0, 10.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, float("inf"))])
def test_share_of_others(machine: float, ours: float, share: float):
    assert accounts.others_share(machine, ours) == pytest.approx(share)


@pytest.mark.parametrize("share, quiet", [(0.0, True), (0.10, True), (0.101, False), (float("inf"), False)])
def test_what_is_quiet(share: float, quiet: bool):
    assert accounts.is_quiet(share) == quiet


def test_own_work_is_not_others():
    """However busy the machine is, what this process burns is counted as its own."""
    watch = accounts.Watch()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert watch._ours() - watch.ours >= 0.25


def test_threads_and_memory_of_this_process():
    threads = accounts.thread_seconds(os.getpid())
    assert sum(map(sum, threads.values())) <= accounts.cpu_seconds(os.getpid()) + 2 * TICK * len(threads)
    assert 1 < accounts.resident_mb(os.getpid()) < 10000


def test_children_belong_to_the_tree():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert accounts.tree(os.getpid()) == [os.getpid(), child.pid]
        child.stdin.close()
    assert accounts.tree(os.getpid()) == [os.getpid()]
