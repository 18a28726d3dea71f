#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A processor of one's own: an event per line in, an answer per line out; what it says on stderr is logged."""
import json
import sys

for line in sys.stdin:
    run = json.loads(line)
    answer = {"message_id": run["message_id"], "result": "done"}
    try:
        print(run["type"], run["event"]["context"]["email"], file=sys.stderr)
    except KeyError as missing:
        answer |= {"result": "dead", "error": f"no member {missing}"}
    print(json.dumps(answer), flush=True)
