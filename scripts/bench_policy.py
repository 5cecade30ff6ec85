"""Measure what decisions cost: without policies beside the code that asks nobody, and with fifty rules.

    .venv/bin/python scripts/bench_policy.py

Prints microseconds of processor time per decision, the best of several rounds, and ratios.
"""

import asyncio
import sys
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from broker.engines.memory.engine import MemoryEngine
from config.clock import SystemClock
from config.settings import Settings
from gateway.auth.capabilities import Right
from gateway.auth.policy import Policy
from gateway.auth.policy_document import PolicyForm, RuleForm, check
from gateway.node import Node
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.json_codec import JsonCodec
from gateway.session.client import Client
from gateway.transports.frames import WebSocketWire

ROUNDS, CALLS = 60, 2_000
CLAIMS = ("dept", "level")
CONDITIONS = (
    '"admin" in roles && claims.level >= {n}',
    'user == "u{n}" || claims.dept == "d{n}"',
    'connection.transport == "sse" && !("editor" in roles)',
    'claims.level > {n} && channel.endsWith("/secret{n}")',
    'roles.exists(r, r.startsWith("blocked{n}"))',
)


class SilentTransport:
    """Takes what is written, and keeps nothing."""

    wire = WebSocketWire(JsonCodec())
    headers: Mapping[str, str] = {"origin": "https://app.example"}
    address = "198.51.100.7"

    def write(self, frame: bytes) -> None: ...

    def close(self, disconnect: Disconnect) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def make_node(remember: int) -> Node:
    docs = {"name": "docs", "allow_publish_for_client": True, "allow_subscribe_for_client": True}
    closed = {"name": "closed"}
    settings = Settings.model_validate(
        {
            "client": {"token": {"hmac_secret_key": "s" * 32}},
            "channel": {"namespaces": [docs, closed]},
            "policy": {"claims": CLAIMS, "decision_cache": remember},
        }
    )
    clock = SystemClock()
    return Node(settings, MemoryEngine(clock), clock, version="bench", rpc_methods={})


def make_client(node: Node) -> Client:
    client = Client("client-1", SilentTransport(), node.turn, lambda _client: None)
    client.user = "ann"
    return client


def rules(count: int, channels: Callable[[int], tuple[str, ...]]) -> list[RuleForm]:
    made = []
    for number in range(count):
        condition = CONDITIONS[number % len(CONDITIONS)].format(n=100 + number)
        made.append(RuleForm(f"rule-{number}", "deny", ("publish", "subscribe"), channels(number), (), condition))
    return made


def microseconds(call: Callable[[], Any]) -> float:
    # The processor's time, so that whatever else the machine does counts as little as can be.
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS, timer=time.process_time)) / CALLS * 1e6


def tell(what: str, value: float, beside: float | None = None) -> None:
    ratio = "" if beside is None else f"   x{value / beside:.2f}"
    print(f"{what:<70}{value:>8.2f} us{ratio}")


def without_policies() -> None:
    node = make_node(0)
    client, channel = make_client(node), "docs:plan"
    options, access, permissions = node.rules.options(channel), node.access, node.permissions

    def asked_by_hand() -> bool:
        is_subscribed = channel in client.subscriptions
        return permissions.may_publish(client.user, is_subscribed, options) or permissions.has(
            Right.PUB, client, channel, options, node.rules
        )

    plain = microseconds(asked_by_hand)
    tell("publish: the options alone", plain)
    tell("publish: through Access, no policy", microseconds(lambda: access.publish(client, channel, options)), plain)
    entered = microseconds(lambda: permissions.right_to_enter(client.user, channel, options, node.rules, client.capabilities))
    tell("subscribe: the options alone", entered)
    tell("subscribe: through Access, no policy", microseconds(lambda: access.source(client, channel, options)), entered)


def whole_commands() -> None:
    """The commands themselves, as a client sends them: with the memory engine none waits."""
    for what, form in (("no policy", PolicyForm()), ("50 rules", PolicyForm(tuple(rules(50, lambda _: ("docs:*",)))))):
        node = make_node(10_000)
        put(node, form)
        session = node.open_session(SilentTransport())
        session.client.user = "ann"
        session.receive(b'{"id":1,"connect":{"token":"%s"}}' % token().encode())
        frame = b'{"id":2,"publish":{"channel":"docs:plan","data":{}}}'

        def publish(session: Any = session, node: Node = node, frame: bytes = frame) -> None:
            session.receive(frame)
            node.turn.flush()

        tell(f"command publish, {what}", microseconds(publish))


def token() -> str:
    import jwt

    return jwt.encode({"sub": "ann", "dept": "eng", "level": 3}, "s" * 32, "HS256")


def put(node: Node, form: PolicyForm) -> None:
    node.policies.enforce(Policy(check(form, CLAIMS), 1))
    node.access.policies = None if node.policies.is_idle else node.policies


def with_policies() -> None:
    reaches: list[tuple[str, Callable[[int], tuple[str, ...]]]] = [
        ("all of them about every channel", lambda _: ()),
        ("all of them about this namespace", lambda _: ("docs:*",)),
        ("one in ten about this namespace", lambda number: ("docs:*",) if number % 10 == 0 else (f"n{number}:*",)),
        ("none about this namespace", lambda number: (f"n{number}:*",)),
    ]
    for what, channels in reaches:
        node = make_node(0)
        put(node, PolicyForm(tuple(rules(50, channels))))
        client = make_client(node)
        node._withdrawal.begin(client, node.tokens.connections.connection(token()))
        options = node.rules.options("docs:plan")
        asked = microseconds(lambda: node.access.publish(client, "docs:plan", options))  # noqa: B023 (called at once)
        tell(f"50 rules, not remembered: {what}", asked)
    node = make_node(10_000)
    put(node, PolicyForm(tuple(rules(50, lambda _: ()))))
    client = make_client(node)
    tell("50 rules, remembered", microseconds(lambda: node.access.publish(client, "docs:plan", options)))
    effects: tuple[Literal["deny", "allow"], ...] = ("deny", "allow")
    for effect in effects:
        costs = [deciding(effect, position) for position in range(0, 50, 7)]
        tell(f"50 rules, not remembered, one decides ({effect}): the cheapest place", min(costs))
        tell(f"50 rules, not remembered, one decides ({effect}): the dearest place", max(costs))
    form = PolicyForm(tuple(rules(50, lambda _: ())))
    compiled = min(timeit.repeat(lambda: Policy(check(form, CLAIMS), 1), number=1, repeat=5)) * 1e6
    tell("checking and compiling 50 rules", compiled)


def deciding(effect: Literal["deny", "allow"], position: int) -> float:
    """Measure fifty rules of which one decides, by its place in the order of names."""
    others = [
        RuleForm(f"rule-{n:02}", effect, rule.actions, (), (), rule.condition) for n, rule in enumerate(rules(50, lambda _: ()))
    ]
    others[position] = RuleForm(f"rule-{position:02}", effect, ("publish",), (), (), 'user == "ann"')
    node = make_node(0)
    put(node, PolicyForm(tuple(others)))
    client = make_client(node)
    node._withdrawal.begin(client, node.tokens.connections.connection(token()))
    # Without options nothing allows it but a rule.
    channel = "docs:plan" if effect == "deny" else "closed:plan"
    options = node.rules.options(channel)
    assert node.access.publish(client, channel, options).rule == f"policy:rule-{position:02}"
    return microseconds(lambda: node.access.publish(client, channel, options))


async def main() -> None:
    without_policies()
    whole_commands()
    with_policies()


if __name__ == "__main__":
    asyncio.run(main())
