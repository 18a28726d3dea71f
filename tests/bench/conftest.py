# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmarks' own parts, without a service."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
