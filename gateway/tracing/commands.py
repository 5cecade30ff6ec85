"""Commands of clients as spans.

Connecting belongs to the trace of the request that opened the connection. A connection may live for days, and what is done over
it would make one trace of all that time; so later commands begin traces of their own, linked to the connecting.
"""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Final

from broker.channels import namespace_of
from config.stepping import Scoped
from config.tracing import Attribute, Kind, Span, Tracing, activate
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.session.client import Client
from gateway.session.session import Handler

__all__ = ["traced_commands"]

# What asks for something that goes on elsewhere; who only looks something up, or leaves, is not traced.
_TRACED: Final = frozenset({"connect", "subscribe", "publish", "rpc", "refresh", "sub_refresh"})


def traced_commands(handlers: Mapping[str, Handler], tracing: Tracing) -> Mapping[str, Handler]:
    """Put spans around those that are traced."""
    return {kind: _traced(kind, one, tracing) if kind in _TRACED else one for kind, one in handlers.items()}


def _traced(kind: str, handler: Handler, tracing: Tracing) -> Handler:
    async def traced(client: Client, request: Any, answer: Callable[[Any], None]) -> None:
        span = _begin(tracing, kind, client, request)

        async def handled() -> None:
            await handler(client, request, answer)

        # It may be begun in the turn that brought it and go on in a task: both see the span, and nobody else does.
        context = copy_context()
        context.run(activate, span)
        try:
            await Scoped(handled(), context)
        except ClientError as exc:
            span.fail(str(exc.error.code))
            raise
        except DisconnectClient as exc:
            span.fail(str(exc.disconnect.code))
            raise
        except BaseException as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()

    return traced


def _begin(tracing: Tracing, kind: str, client: Client, request: Any) -> Span:
    attributes: dict[str, Attribute] = {"heliograph.transport": client.wire.transport_name}
    if channel := getattr(request, "channel", ""):
        attributes["heliograph.namespace"] = namespace_of(channel)
    if kind != "connect":
        links = (client.trace,) if client.trace else ()
        return tracing.begin(f"command {kind}", Kind.SERVER, links=links, attributes=attributes)
    headers = client.transport.headers
    span = tracing.begin(
        "command connect",
        Kind.SERVER,
        parent=headers.get("traceparent", ""),
        tracestate=headers.get("tracestate", ""),
        attributes=attributes,
    )
    if span.is_sampled:
        client.trace = span.traceparent
    return span
