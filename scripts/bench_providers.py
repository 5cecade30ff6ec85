"""Measure what one core sends through a provider of ours alone, without a store, a plan or a limit.

    .venv/bin/python scripts/bench_providers.py fcm|apns|webpush|email

The simulators run on core 1, the calls on core 0. Prints, for each of three rounds, answers a second and microseconds of
processor time for each. Needs the extra `simulators`.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from broker.notification import Content, Device, Lane, Notification, Provider
from config.clock import SystemClock
from config.settings import Settings
from loadtest.simulators.launch import launch
from pushers.outcome import Accepted
from pushers.provider import Provider as Carrier
from pushers.providers.configured import build_providers

DEVICES: Final = 500
# Calls of a round, and how many are under way at once.
SIZES: Final = {"fcm": (8_000, 200), "apns": (8_000, 200), "webpush": (6_000, 200), "email": (1_500, 10)}


async def main(kind: str) -> None:
    calls, at_once = SIZES[kind]
    clock = SystemClock()
    os.sched_setaffinity(0, {1})  # what is started now stays there
    simulators = await launch(Path(tempfile.mkdtemp()))
    os.sched_setaffinity(0, {0})
    insecure = {"insecure": True}
    settings = Settings.model_validate({"providers": simulators.providers, "client": insecure, "http_api": insecure})
    [carrier] = [one for one in build_providers(settings.providers, clock=clock) if one.name == kind]
    now = clock.now()
    devices = [
        Device(f"d{n}", f"u{n}", Provider(kind), address_of(kind, n, simulators.control), "any", now) for n in range(DEVICES)
    ]
    content = Content(title="Load test", body="A notification that measures how fast it travels.", category="loadtest")
    ends = now + timedelta(hours=1)
    sent = [
        Notification(str(clock.new_id()), devices[n % DEVICES].user, content, Lane.NORMAL, (), 0, 0, now, ends)
        for n in range(calls)
    ]
    await send(carrier, iter(sent[:DEVICES]), devices, at_once, clock)
    for _ in range(3):
        began, used = time.perf_counter(), time.process_time()
        await send(carrier, iter(sent), devices, at_once, clock)
        took_s, used_s = time.perf_counter() - began, time.process_time() - used
        print(f"{kind:<8}{calls / took_s:>8.0f}/s {used_s / calls * 1e6:>7.1f} us")
    await carrier.close()
    os.kill(simulators.pid, signal.SIGTERM)


def address_of(kind: str, number: int, control: str) -> str:
    if kind == "webpush":
        body = json.dumps({"name": f"u{number}", "kept": True}).encode()
        asked = urllib.request.Request(f"{control}/webpush/subscriptions", body, {"Content-Type": "application/json"})
        return str(urllib.request.urlopen(asked).read().decode())
    return {"email": f"load-{number}@example.test", "apns": f"{number:064x}", "fcm": f"load-device-{number:08d}"}[kind]


async def send(carrier: Carrier, sent: Iterator[Notification], devices: list[Device], at_once: int, clock: SystemClock) -> None:
    by_user = {device.user: device for device in devices}

    async def one_after_another() -> None:
        for notification in sent:
            outcome = await carrier.send(notification, by_user[notification.user], now=clock.now())
            assert isinstance(outcome, Accepted), outcome

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if len(sys.argv) != 2 or sys.argv[1] not in SIZES:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(SIZES)}")
    uvloop.run(main(sys.argv[1]))
