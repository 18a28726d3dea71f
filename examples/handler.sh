#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A processor of one's own, in a shell: `message_id` is the first member of every line.
while read -r line; do
    id=$(printf '%s\n' "$line" | sed 's/^{"message_id": "\([^"]*\)".*/\1/')
    echo "seen $id" >&2
    printf '{"message_id": "%s", "result": "done"}\n' "$id"
done
