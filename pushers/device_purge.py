"""The duty of letting go, after a while, of devices that providers called gone."""

from datetime import timedelta
from typing import Final

from broker.removed_devices import RemovedDevices
from config.clock import Clock
from pushers.duties import Duty

__all__ = ["device_purge"]

_PIECE: Final = 500
_PAUSE_S: Final = 0.2
_ROUND_S: Final = 300.0


def device_purge(removed: RemovedDevices, clock: Clock, *, undo_within_s: float) -> Duty:
    """Make the duty: what was removed longer ago than that cannot be restored any more."""

    async def work() -> float:
        count = await removed.purge(before=clock.now() - timedelta(seconds=undo_within_s), limit=_PIECE)
        return _PAUSE_S if count >= _PIECE else _ROUND_S

    return Duty("removed_devices", work)
