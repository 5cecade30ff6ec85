"""Who is here and in which rooms: the node's indexes, each changed in one place, both directions together."""

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

from gateway.cohort import Audience
from gateway.fanout import Turn
from gateway.room import Room
from gateway.session.client import Client
from gateway.session.subscription import Grant, Subscription

__all__ = ["Hub", "HubStatistics"]


class HubStatistics(msgspec.Struct, frozen=True):
    """How many are here."""

    clients: int
    users: int
    rooms: int
    subscriptions: int


class Hub:
    """Client id → client, user → clients, channel → room."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._clients: dict[str, Client] = {}
        self._clients_by_user: dict[str, dict[Client, None]] = {}
        self._rooms: dict[str, Room] = {}
        self._subscriptions = 0

    def add(self, client: Client) -> None:
        """Enter a client whose connect was accepted."""
        self._clients[client.id] = client
        self._clients_by_user.setdefault(client.user, {})[client] = None

    def remove(self, client: Client) -> list[Subscription]:
        """Take a client out of everything; tells the places it held. One that never connected held none."""
        held = [self.leave(client, channel) for channel in tuple(client.subscriptions)]
        if self._clients.pop(client.id, None) is not None:
            clients = self._clients_by_user[client.user]
            del clients[client]
            if not clients:
                del self._clients_by_user[client.user]
        return [subscription for subscription in held if subscription is not None]

    def room(self, channel: str) -> Room | None:
        """Find the room of a channel; None when nobody here is in it."""
        return self._rooms.get(channel)

    def open_room(self, channel: str) -> tuple[Room, bool]:
        """Find or make the room of a channel; tells whether it is new, so that the engine must subscribe."""
        room = self._rooms.get(channel)
        if room is not None:
            return room, False
        room = self._rooms[channel] = Room(channel)
        return room, True

    def close_room(self, room: Room) -> bool:
        """Forget a room if nobody is in it; tells whether the engine may unsubscribe."""
        if room.is_empty and self._rooms.get(room.channel) is room:
            del self._rooms[room.channel]
            return True
        return False

    def join(self, client: Client, room: Room, grant: Grant) -> Subscription:
        """Give a client its place; what the room had before goes out first, to those who were there."""
        self._turn.flush_room(room)
        filter_key, passes = grant.tags_filter or ("", None)
        audience = Audience(client.wire, grant.wants_membership, grant.has_delta, filter_key)
        room.add(client, audience, passes, is_positioned=grant.is_positioned)
        subscription = client.subscriptions[room.channel] = Subscription(grant, room, audience)
        self._subscriptions += 1
        return subscription

    def leave(self, client: Client, channel: str) -> Subscription | None:
        """Take a client out of a room; None when it was not in it. The room itself stays until `close_room`."""
        subscription = client.subscriptions.get(channel)
        if subscription is None:
            return None
        self._turn.flush_room(subscription.room)
        del client.subscriptions[channel]
        subscription.room.remove(client, subscription.audience, is_positioned=subscription.grant.is_positioned)
        self._subscriptions -= 1
        if subscription.expiry_note is not None:
            subscription.expiry_note.drop()
        return subscription

    def find(self, user: str, client: str = "", session: str = "") -> list[Client]:
        """Find the connections of a user, narrowed by client or session id."""
        found = tuple(self._clients_by_user.get(user, ()))
        return [entry for entry in found if (not client or entry.id == client) and (not session or entry.session_id == session)]

    def connections_of(self, user: str) -> int:
        """Count a user's connections here."""
        return len(self._clients_by_user.get(user, ()))

    def clients(self) -> Iterator[Client]:
        """All connected clients, as they were when asked."""
        return iter(tuple(self._clients.values()))

    def touch(self, room: Room) -> None:
        """Have a room written at the end of this turn."""
        if not room.is_dirty and room.size:
            self._turn.touch_room(room)

    def members(self, room: Room) -> list[Client]:
        """List who is in a room, as it is now."""
        members = [member for cohort in room.cohorts.values() for member in (*cohort.members, *cohort.fresh)]
        return cast(list[Client], members)  # rooms know clients by less, but nobody else is let in

    def rooms(self) -> list[Room]:
        """List the rooms, as they are now."""
        return list(self._rooms.values())

    def channels(self) -> Mapping[str, int]:
        """The channels with subscribers here, and how many."""
        return {channel: room.size for channel, room in self._rooms.items() if room.size}

    def statistics(self) -> HubStatistics:
        """Count everything."""
        return HubStatistics(len(self._clients), len(self._clients_by_user), len(self._rooms), self._subscriptions)
