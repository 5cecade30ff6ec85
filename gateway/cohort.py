"""Those of a room who get the same bytes, and the forms of a publication that cohorts need, each made once.

With deltas a cohort has two halves. Its *fresh* members have no base yet: the first publication they get is full, and
when it has been written they join the others, who get patches against the publication before. So who came when costs
no state per client.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from broker.model import Join, Leave, Publication
from gateway.member import Member
from gateway.protocol.codec import Codec, UnfitPayload
from gateway.protocol.delta import saving_diff
from gateway.transports.transport import Wire

__all__ = ["Audience", "Cohort", "Forms"]

Filter = Callable[[Mapping[str, str]], bool]


class Audience(NamedTuple):
    """What decides which bytes a member gets: the key of its cohort. `filter_key` is "" for no filter."""

    wire: Wire
    wants_membership: bool = False
    has_delta: bool = False
    filter_key: str = ""


class Cohort:
    """Members that get the same bytes, and the batch of this turn."""

    __slots__ = ("audience", "batch", "fresh", "fresh_batch", "fresh_has_base", "members", "passes", "unfit")

    def __init__(self, audience: Audience, passes: Filter | None) -> None:
        self.audience = audience
        self.passes = passes
        self.members: dict[Member, None] = {}
        self.batch: list[bytes] = []
        self.fresh: dict[Member, None] = {}
        self.fresh_batch: list[bytes] = []
        self.fresh_has_base = False  # a full publication stands in the batch of the fresh ones
        self.unfit = False  # a payload of this turn cannot travel in this encoding

    @property
    def is_empty(self) -> bool:
        return not self.members and not self.fresh

    def add(self, member: Member) -> None:
        """Let a member in; the batches must have been written before."""
        (self.fresh if self.audience.has_delta else self.members)[member] = None

    def remove(self, member: Member) -> None:
        """Let a member go."""
        if self.members.pop(member, self) is self:
            del self.fresh[member]

    def settle(self) -> None:
        """What the fresh ones were owed has been written: from now on they are like the others."""
        self.fresh_batch = []
        if self.fresh_has_base:
            self.fresh_has_base = False
            self.members.update(self.fresh)
            self.fresh.clear()

    def take(self, message: Publication | Join | Leave, forms: "Forms") -> None:
        """Add a message to the batch, in this cohort's form, unless it is not for it."""
        audience, codec = self.audience, self.audience.wire.codec
        if not isinstance(message, Publication):
            if audience.wants_membership and (encoded := forms.plain(codec)) is not None:
                self.batch.append(encoded)
                if self.fresh:
                    self.fresh_batch.append(encoded)
            return
        if audience.has_delta:
            # A chain of deltas must stay whole, so these members get everything, filter or not.
            self._take_delta(codec, forms)
        elif self.passes is None or self.passes(message.tags):
            encoded = forms.plain(codec)
            if encoded is None:
                self.unfit = True
            else:
                self.batch.append(encoded)

    def _take_delta(self, codec: Codec, forms: "Forms") -> None:
        full = forms.full(codec)
        if full is None:
            self.unfit = True
            return
        patched = forms.patched(codec) or full
        self.batch.append(patched)
        if self.fresh:
            self.fresh_batch.append(patched if self.fresh_has_base else full)
            self.fresh_has_base = True


class Forms:
    """One message of a room in every form that is asked for, made at the first asking."""

    __slots__ = ("_base", "_channel", "_made", "_message")

    def __init__(self, channel: str, message: Publication | Join | Leave, base: bytes | None) -> None:
        """Take a message; `base` is the payload before it in the stream, where it may travel as a delta."""
        self._channel, self._message, self._base = channel, message, base
        self._made: dict[tuple[str, str], bytes | None] = {}

    def plain(self, codec: Codec) -> bytes | None:
        """The message as it is; None where its payload is not of this encoding."""
        return self._make(codec, "plain", lambda: codec.encode_message(self._channel, self._message))

    def full(self, codec: Codec) -> bytes | None:
        """The whole publication, for those who negotiated deltas; None as above."""
        return self._make(codec, "full", lambda: codec.encode_delta(self._channel, self._publication, None))

    def patched(self, codec: Codec) -> bytes | None:
        """The publication as a patch of the one before; None where there is no base, or a patch saves nothing."""
        if self._base is None:
            return None
        return self._make(codec, "patched", lambda: self._patch(codec))

    @property
    def _publication(self) -> Publication:
        assert isinstance(self._message, Publication)
        return self._message

    def _patch(self, codec: Codec) -> bytes | None:
        assert self._base is not None
        publication, key = self._publication, ("", "patch")
        if key not in self._made:
            self._made[key] = saving_diff(self._base, publication.data)
        patch = self._made[key]
        return None if patch is None else codec.encode_delta(self._channel, publication, patch)

    def _make(self, codec: Codec, form: str, encode: Callable[[], bytes | None]) -> bytes | None:
        key = (codec.name, form)
        if key not in self._made:
            try:
                self._made[key] = encode()
            except UnfitPayload:
                self._made[key] = None
        return self._made[key]
