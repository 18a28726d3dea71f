#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A processor that does what the event's last name says, and writes down every run: child.py FOLDER.

  done · dead · retry-N (until the N-th run is past) · until-gone (retry while FOLDER/hold is there)
  hang-N, crash-N, noise-N, stranger-N (the first N runs: no answer; the end; no JSON; of another message)
  wait (answers when FOLDER/hold is gone)
"""
import json
import os
import pathlib
import sys
import time

folder = pathlib.Path(sys.argv[1])
hold = folder / "hold"


def answer(message_id: str, result: str = "done", **more: str) -> None:
    print(json.dumps({"message_id": message_id, "result": result} | more), flush=True)


for line in sys.stdin:
    run = json.loads(line)
    with open(folder / "runs", "a", encoding="utf-8") as runs:
        runs.write(json.dumps({"id": run["message_id"], "attempt": run["attempt"], "pid": os.getpid(),
                               "sequence": run["sequence"], "type": run["type"]}) + "\n")
    told, _, count = run["event"]["context"]["last_name"].partition("-")
    early = count.isdigit() and run["attempt"] <= int(count)
    if told == "dead" and hold.exists():
        answer(run["message_id"], "dead", error="it will never do")
    elif (told == "retry" and early) or (told == "until" and hold.exists()):
        answer(run["message_id"], "retry", error="not yet")
    elif told == "hang" and early:
        time.sleep(3600)
    elif told == "crash" and early:
        os._exit(3)
    elif told == "noise" and early:
        print("nothing of the kind", flush=True)
    elif told == "stranger" and early:
        answer("somebody else's")
    else:
        while told == "wait" and hold.exists():
            time.sleep(0.01)
        answer(run["message_id"])
