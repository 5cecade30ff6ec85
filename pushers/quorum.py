"""Which of a user's devices have their turn: all at once, or the most recent first and the next where it fails."""

from collections.abc import Iterable, Sequence
from typing import Final

from broker.notification import Device, Entry, Outcome
from broker.routing import Quorum

__all__ = ["devices_in_turn"]

# A line of a device after which it is not tried again.
_TRIED: Final = frozenset(Outcome) - {Outcome.RETRY, Outcome.REPLAYED, Outcome.DEFERRED}


def devices_in_turn(devices: Sequence[Device], entries: Iterable[Entry], quorum: Quorum) -> Sequence[Device]:
    """Choose the devices to try now.

    Args:
        devices: Those of one route, in the order of their registration.
        entries: The timeline's lines of this route.
    """
    last_by_device = {entry.device_id: entry.outcome for entry in entries if entry.device_id}
    tried = {device_id for device_id, outcome in last_by_device.items() if outcome in _TRIED}
    if quorum is Quorum.ALL:
        return [device for device in devices if device.id not in tried]
    groups: dict[str, list[Device]] = {}
    for device in devices:
        groups.setdefault(device.platform if quorum is Quorum.ONE_PER_PLATFORM else "", []).append(device)
    chosen = []
    for group in groups.values():
        if any(last_by_device.get(device.id) is Outcome.ACCEPTED for device in group):
            continue
        if untried := [device for device in group if device.id not in tried]:
            chosen.append(max(untried, key=lambda device: device.registered_at))
    return chosen
