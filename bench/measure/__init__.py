# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share; bench/run and its neighbours are thin. tests/harness starts brokers and services."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
PROGRAMS = ROOT / "build" / "bench"
CLOSED_PORT_URL = "amqp://guest:guest@127.0.0.1:1/"

sys.path.insert(0, str(ROOT / "tests"))
