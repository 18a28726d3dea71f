#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints every event as it passes: a queue of its own gets a copy, so the worker misses nothing.

Needs python3-pika. Settings: RABBIT_MQ_URL and EXCHANGE_NAME, as the service has them.
"""
import os

import pika

exchange = os.environ.get("EXCHANGE_NAME", "userbus")
url = os.environ.get("RABBIT_MQ_URL", "amqp://guest:guest@localhost:5672/")
if url.count("/") == 3 and url.endswith("/"):
    url += "%2F"  # pika takes the bare slash for a virtual host without a name
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
queue = channel.queue_declare("", exclusive=True).method.queue
channel.queue_bind(queue, exchange, routing_key="user")
print(f"waiting for events of exchange {exchange}", flush=True)
try:
    for method, properties, body in channel.consume(queue, auto_ack=True):
        print(properties.type, "sequence", properties.headers.get("cloudEvents_sequence"), "message_id",
              properties.message_id, "correlation_id", properties.correlation_id)
        print(body.decode(), flush=True)
except KeyboardInterrupt:
    pass
