"""Who asks, of a client: what the audit and the log are told about whoever sends a command."""

from broker.caller import Actor, ActorKind, Caller
from gateway.session.client import Client

__all__ = ["caller_of"]


def caller_of(client: Client) -> Caller:
    """Tell who a client is; its id joins whatever is done over one connection."""
    actor = Actor(ActorKind.USER, client.user) if client.user else Actor(ActorKind.UNKNOWN)
    return Caller(actor, client.transport.address, client.wire.transport_name, client.id)
