"""Who may import whom. Each rule is a function from sources to complaints; it is seen to complain, then held to the product."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest

# What of ours each package may import, beside itself. The composition root may import everything.
LAYERS: Mapping[str, frozenset[str]] = {
    "config": frozenset(),
    "broker": frozenset({"config"}),
    "gateway": frozenset({"config", "broker"}),
    "pushers": frozenset({"config", "broker"}),
    "loadtest": frozenset({"config", "gateway.protocol"}),
    "heliograph": frozenset({"config", "broker", "gateway", "pushers", "loadtest"}),
}


@dataclass(frozen=True)
class Fence:
    """Names that may be used below some places only."""

    names: tuple[str, ...]
    places: tuple[str, ...]


FENCES = (
    Fence(("redis", "valkey", "coredis"), ("broker/engines/redis/",)),
    Fence(("sqlalchemy", "alembic", "aiosqlite", "asyncpg", "sqlite3", "psycopg"), ("broker/store/",)),
    Fence(("pycurl", "aiosmtplib", "smtplib", "httpx", "requests"), ("pushers/providers/",)),
    Fence(("opentelemetry",), ("config/tracing_sdk.py",)),
    Fence(("aiohttp",), ("gateway/proxy/http_client.py", "gateway/auth/jwks_client.py")),
    Fence(("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"), ("config/",)),
    Fence(("time", "random"), ("config/clock.py", "loadtest/")),
    Fence(("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"), ("config/clock.py", "loadtest/")),
    Fence(("broker.engines.memory", "broker.engines.redis"), ("broker/engines/", "heliograph/")),
    # A name that is put together at run time would pass under every fence.
    Fence(("importlib.import_module",), ("heliograph/", "loadtest/")),
)


def is_within(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def layer_complaints(sources: Iterable[Any]) -> list[str]:
    complaints = []
    for source in sources:
        allowed = {source.package, *LAYERS[source.package]}
        for name, line in source.imports:
            is_ours = name.partition(".")[0] in LAYERS
            if is_ours and not any(is_within(name, layer) for layer in allowed):
                complaints.append(f"{source.path}:{line} imports {name}")
    return complaints


def fence_complaints(sources: Iterable[Any]) -> list[str]:
    complaints = []
    for source in sources:
        for fence in FENCES:
            if source.path.startswith(fence.places):
                continue
            used = sorted(
                {(line, name) for name, line in source.names if any(is_within(name, fenced) for fenced in fence.names)}
            )
            complaints += [f"{source.path}:{line} uses {name}" for line, name in used]
    return complaints


def cycle_complaints(sources: Iterable[Any]) -> list[str]:
    """Find a cycle between modules; an import inside of a function or for types only counts like any other."""
    known = {source.module: source for source in sources}
    graph = {}
    for module, source in known.items():
        imported = {name if name in known else name.rpartition(".")[0] for name, _ in source.imports}
        graph[module] = (imported & known.keys()) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def test_the_rules_see_the_whole_product(sources, packages, root):
    assert {source.package for source in sources} == set(packages) == LAYERS.keys()
    top_level = {path.parent.name for path in root.glob("*/__init__.py")}
    assert top_level <= LAYERS.keys()


# Layers


def test_packages_import_only_what_their_layer_may(sources):
    assert layer_complaints(sources) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("config/x.py", "from broker.model import Position"),
        ("config/x.py", "import heliograph"),
        ("broker/x.py", "import gateway.hub"),
        ("broker/x.py", "import os, pushers"),
        ("gateway/x.py", "from pushers import retry"),
        ("gateway/x.py", "def late():\n    from pushers.retry import next_try"),
        ("gateway/x.py", "if TYPE_CHECKING:\n    import pushers.retry as retry"),
        ("gateway/x.py", "from heliograph.cli import main"),
        ("pushers/x.py", "from gateway.hub import Hub"),
        ("pushers/providers/x.py", "from loadtest.simulators import apns"),
        ("loadtest/x.py", "from broker.model import Position"),
        ("loadtest/x.py", "from gateway.hub import Hub"),
        ("loadtest/x.py", "import gateway"),
        ("loadtest/x.py", "from gateway import protocols"),
    ],
)
def test_a_wrong_layer_is_seen(make_source, path, text):
    [complaint] = layer_complaints([make_source(path, text)])
    assert complaint.startswith(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("loadtest/x.py", "from gateway import protocol"),
        ("loadtest/x.py", "from gateway.protocol.messages import Push"),
        ("heliograph/x.py", "import config, broker, gateway, pushers, loadtest"),
        ("gateway/x.py", "from broker.model import Position\nimport config.clock"),
        ("gateway/session/x.py", "from . import states\nfrom ..hub import Hub"),
        ("config/x.py", "import configparser, brokerage"),
    ],
)
def test_a_right_layer_passes(make_source, path, text):
    assert layer_complaints([make_source(path, text)]) == []


# Fences


def test_fenced_names_stay_in_their_place(sources):
    assert fence_complaints(sources) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker/history.py", "import redis.asyncio"),
        ("broker/engines/memory/x.py", "from redis import Redis"),
        ("gateway/x.py", "from sqlalchemy import select"),
        ("broker/ledger.py", "import sqlalchemy as sa"),
        ("pushers/worker.py", "import aiosqlite"),
        ("heliograph/x.py", "from asyncpg import connect"),
        ("heliograph/x.py", "from alembic import command"),
        ("pushers/router.py", "import pycurl"),
        ("gateway/x.py", "import httpx"),
        ("gateway/proxy/backend.py", "import aiohttp"),
        ("gateway/auth/key_source.py", "from aiohttp import ClientSession"),
        ("pushers/providers/x.py", "import aiohttp"),
        ("broker/x.py", "from requests import get"),
        ("pushers/worker.py", "import aiosmtplib"),
        ("gateway/x.py", "import os\nname = os.environ['HOME']"),
        ("gateway/x.py", "from os import environ"),
        ("heliograph/x.py", "import os as system\nsystem.getenv('HOME')"),
        ("loadtest/x.py", "def run():\n    import os\n    return dict(os.environ)"),
        ("config/logs.py", "import time"),
        ("gateway/x.py", "from time import monotonic"),
        ("heliograph/x.py", "import random"),
        ("pushers/x.py", "from datetime import datetime\nnow = datetime.now()"),
        ("pushers/x.py", "import datetime as dt\nnow = dt.datetime.utcnow()"),
        ("gateway/x.py", "from broker.engines.memory.engine import MemoryEngine"),
        ("gateway/x.py", "from broker.engines import memory"),
        ("broker/x.py", "import broker.engines.redis.engine"),
        ("gateway/x.py", "import importlib\nimportlib.import_module('redis')"),
    ],
)
def test_a_name_outside_of_its_fence_is_seen(make_source, path, text):
    complaints = fence_complaints([make_source(path, text)])
    assert complaints
    assert complaints[0].startswith(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broker/engines/redis/link.py", "import redis.asyncio"),
        ("broker/store/session.py", "import sqlalchemy"),
        ("pushers/providers/fcm.py", "import pycurl"),
        ("gateway/proxy/http_client.py", "import aiohttp"),
        ("gateway/auth/jwks_client.py", "import aiohttp"),
        ("config/loader.py", "import os\nos.environ"),
        ("config/clock.py", "import time, random\nfrom datetime import datetime\ndatetime.now()"),
        ("loadtest/measure.py", "import time"),
        ("heliograph/x.py", "from broker.engines.memory.engine import MemoryEngine"),
        ("broker/engines/redis/x.py", "from broker.engines.memory.deadlines import Deadlines"),
        ("gateway/x.py", "from broker.engines.engine import Engine"),
        ("gateway/x.py", "import os\nos.path.join('a', timeout)\nfrom datetime import timedelta\nself.os.environ"),
    ],
)
def test_a_name_within_its_fence_passes(make_source, path, text):
    assert fence_complaints([make_source(path, text)]) == []


# Cycles


def test_no_modules_import_each_other_in_a_circle(sources):
    assert cycle_complaints(sources) == []


@pytest.mark.parametrize(
    "texts",
    [
        {"gateway/a.py": "from gateway.b import x", "gateway/b.py": "import gateway.a"},
        {"gateway/a.py": "from gateway import b", "gateway/b.py": "from . import a"},
        {
            "gateway/a.py": "from gateway.b import x",
            "gateway/b.py": "def late():\n    from gateway.c import y",
            "gateway/c.py": "from .a import z",
        },
        {"gateway/__init__.py": "from .hub import Hub", "gateway/hub.py": "from gateway import Room"},
    ],
)
def test_a_circle_is_seen(make_source, texts):
    [complaint] = cycle_complaints([make_source(path, text) for path, text in texts.items()])
    assert " imports " in complaint


def test_a_chain_passes(make_source):
    texts = {"gateway/a.py": "from gateway.b import x", "gateway/b.py": "import gateway.c", "gateway/c.py": "import json"}
    assert cycle_complaints([make_source(path, text) for path, text in texts.items()]) == []
