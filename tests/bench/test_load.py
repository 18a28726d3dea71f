# SPDX-License-Identifier: Apache-2.0
import pytest
from measure import load

TEXT = """Running 2s test @ http://127.0.0.1:5000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.45ms    1.12ms  24.67ms   70.99%
    Req/Sec    26.30k     2.11k   29.00k    91.50%
  Latency Distribution
     50%    2.10ms
     75%    2.90ms
     90%  800.00us
     99%    1.02s
  52345 requests in 2.00s, 30.10MB read
Requests/sec:  26172.55
Transfer/sec:     15.05MB
"""


def test_what_wrk_says():
    told = load.parse(TEXT)
    assert (told.requests, told.refused, told.rate) == (52345, 0, 26172.55)
    assert (told.p50, told.p99, told.longest) == (2.10, 1020.0, 24.67)
    load.must_all_be_answered(told, "POST")


def test_refusals_are_seen():
    told = load.parse(TEXT + "  Non-2xx or 3xx responses: 17\n")
    assert told.refused == 17
    with pytest.raises(RuntimeError, match="17 of 52345"):
        load.must_all_be_answered(told, "POST")


@pytest.mark.parametrize("text, value", [("1.93ms", 1.93), ("130.00us", 0.13), ("1.02s", 1020), ("1.50m", 90000)])
def test_units(text: str, value: float):
    assert load.milliseconds(text) == pytest.approx(value)
