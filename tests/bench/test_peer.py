# SPDX-License-Identifier: Apache-2.0
import pathlib
import subprocess

import pytest
from measure import ROOT, filled
from measure.peer import HEADINGS, Line


def test_a_line_without_livez_has_no_ratio():
    line = Line("flask", "POST /users", 612.4, None, 98.7, 210.0, 1612.3, 75.2)
    assert line.cells() == ("flask", "POST /users", "612", "", "98.70", "210.00", "1,612.3", "75.2")
    assert len(line.cells()) == len(HEADINGS)


@pytest.mark.parametrize("arguments", [(), ("flask", "--url", "http://x"), ("--url", "http://127.0.0.1:1"), ("no-such-peer",)])
def test_what_is_to_be_measured_must_be_said(arguments: tuple):
    done = subprocess.run([ROOT / "bench" / "peer", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "error:" in done.stderr


def test_a_kept_database_is_of_its_size_and_form(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    small, large = filled.path_of(1000, 500, tmp_path), filled.path_of(2000, 500, tmp_path)
    assert small != large and small.parent == tmp_path
    monkeypatch.setattr(filled, "SOURCES", ("bench/fill.c",))
    assert filled.path_of(1000, 500, tmp_path) != small
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert filled.cache_folder() == tmp_path / "userbus-bench"
