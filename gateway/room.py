"""The clients of this node in one channel, and what they are about to be sent.

Subscribers stand in *cohorts*: those who get the same bytes. A publication is encoded once per encoding, added to each cohort's
batch of this loop turn, and written to every member in one frame when the turn ends.
"""

from broker.model import Join, Leave, Publication
from gateway.member import Member
from gateway.protocol.codec import UnfitPayload
from gateway.transports.transport import Wire

__all__ = ["Cohort", "CohortKey", "Room"]

CohortKey = tuple[Wire, bool]


class Cohort:
    """Members that get the same bytes, and the batch of this turn."""

    __slots__ = ("batch", "members", "unfit", "wants_membership", "wire")

    def __init__(self, wire: Wire, wants_membership: bool) -> None:
        self.wire, self.wants_membership = wire, wants_membership
        self.members: dict[Member, None] = {}
        self.batch: list[bytes] = []
        self.unfit = False  # a payload of this turn cannot travel in this encoding


class Room:
    """One channel on this node."""

    __slots__ = ("channel", "cohorts", "entering", "is_dirty", "position_epoch", "position_offset", "size")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.cohorts: dict[CohortKey, Cohort] = {}
        # Clients on their way in, with the live publications that reached the room meanwhile.
        self.entering: dict[Member, list[Publication]] = {}
        self.size = 0
        self.is_dirty = False
        # The position belongs to the room: in steady state all its positioned subscribers stand at the same offset.
        self.position_offset = 0
        self.position_epoch = ""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it or on the way in."""
        return self.size == 0 and not self.entering

    def add(self, client: Member, key: CohortKey) -> Cohort:
        """Put a client into its cohort; the batch must have been flushed before."""
        cohort = self.cohorts.get(key)
        if cohort is None:
            cohort = self.cohorts[key] = Cohort(*key)
        cohort.members[client] = None
        self.size += 1
        return cohort

    def remove(self, client: Member, cohort: Cohort) -> None:
        """Take a client out of its cohort."""
        del cohort.members[client]
        self.size -= 1
        if not cohort.members:
            del self.cohorts[cohort.wire, cohort.wants_membership]

    def take(self, message: Publication | Join | Leave) -> bool:
        """Add a message to the batches; False when it is one the room has had already."""
        is_publication = isinstance(message, Publication)
        if isinstance(message, Publication):
            if message.offset:
                if message.epoch == self.position_epoch and message.offset <= self.position_offset:
                    return False
                self.position_offset, self.position_epoch = message.offset, message.epoch
            for buffered in self.entering.values():
                buffered.append(message)
        encoded: dict[str, bytes | None] = {}
        for cohort in self.cohorts.values():
            if is_publication or cohort.wants_membership:
                self._add(cohort, message, encoded)
        return True

    def _add(self, cohort: Cohort, message: Publication | Join | Leave, encoded: dict[str, bytes | None]) -> None:
        codec = cohort.wire.codec
        if codec.name not in encoded:
            try:
                encoded[codec.name] = codec.encode_message(self.channel, message)
            except UnfitPayload:
                encoded[codec.name] = None
        payload = encoded[codec.name]
        if payload is None:
            cohort.unfit = True
        else:
            cohort.batch.append(payload)
