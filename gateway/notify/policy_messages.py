"""What requests say about when and how somebody is told. Moments are Unix seconds or RFC 3339, local times "HH:MM"."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.notify.template_messages import TemplateUseItem

__all__ = ["DigestItem", "EscalateItem", "HabitItem", "Moment", "QuietHoursItem", "Routes", "RoutingItem"]

Moment = float | str
Routes = list[str | list[str]]

_Waits = Annotated[dict[str, float], Meta(description="Seconds that a route is given before the next one has its turn.")]
_StopOn = Annotated[str, Meta(description="`ack` (default), or `accepted`: no further route once a provider took it.")]
_Devices = Annotated[str, Meta(description="Push devices: `all` (default), `most_recent` or `one_per_platform`.")]


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    pass


class HabitItem(_Item):
    """Tells somebody when they usually open what they are told, by what was learnt of them; where that is too little, when
    users usually open."""

    latest: Annotated[
        Moment | UnsetType, Meta(description="Not after this moment; if left out, within a day. `ttl_s` counts from then.")
    ] = UNSET


class DigestItem(_Item):
    """Collects a user's notifications under a key, and tells them in one message; exactly one of `window_s` and `at`."""

    key: Annotated[str, Meta(description="What belongs together, such as `comments:post-7`.")]
    window_s: Annotated[
        float | UnsetType, Meta(description="Seconds from the first one until they are told, up to 7 days.")
    ] = UNSET
    longest_s: Annotated[
        float | UnsetType, Meta(description="Each further one begins the window anew, for at most so long from the first one.")
    ] = UNSET
    at: Annotated[
        list[str] | UnsetType, Meta(description="Times of day on the user's clock, the next of which it is: `09:00`, `17:00`.")
    ] = UNSET
    first_at_once: Annotated[bool, Meta(description="Tell the first one by itself and collect what follows.")] = False
    title: Annotated[str, Meta(description="Headline of the message; `{count}` is how many it tells.")] = ""
    template: Annotated[
        TemplateUseItem | UnsetType,
        Meta(description="Makes the texts instead, of `count` and `items`, each with title, body, link, data, id and at."),
    ] = UNSET


class EscalateItem(_Item):
    """Tells somebody else what nobody has seen; exactly one of `to_user` and `to_url`."""

    after_s: Annotated[float, Meta(description="Seconds after the notification is to be told.")]
    to_user: Annotated[str, Meta(description="Who is told then, such as whoever is on call.")] = ""
    to_url: Annotated[str, Meta(description="Or the https address that is called, signed as webhooks are.")] = ""
    routes: Annotated[Routes | UnsetType, Meta(description="Ways to try for them; `webhook` for a pager.")] = UNSET


class QuietHoursItem(_Item, rename={"begin": "from", "end": "to"}):
    """A daily window, which may span midnight."""

    begin: Annotated[str, Meta(description="Local time at which peace begins, such as `22:00`.")]
    end: Annotated[str, Meta(description="Local time at which it ends, such as `07:00`.")]
    timezone: Annotated[str, Meta(description="IANA name, such as `Europe/Berlin`; the user's own if left out.")] = ""
    days: Annotated[
        list[str] | UnsetType, Meta(description="Weekdays on which it begins: `mon`, `tue`, …; every day if left out.")
    ] = UNSET
    ignored_by: Annotated[
        list[str] | UnsetType,
        Meta(description="Priorities that pass it; as the settings say if left out, `critical` at first."),
    ] = UNSET


class RoutingItem(_Item, omit_defaults=True):
    """Which ways to go; what is left out is left to the category and the defaults."""

    routes: Annotated[Routes | UnsetType, Meta(description="Ways in order; a list within it is tried together.")] = UNSET
    waits: _Waits = {}
    stop_on: _StopOn = ""
    devices: _Devices = ""
