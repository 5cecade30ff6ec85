"""How one call to a provider ended, as a value: what the pipeline does next follows from its class alone."""

from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["Accepted", "Ambiguous", "ConfigPause", "DropDevice", "DropMessage", "Retry", "SendOutcome", "TooLarge"]


class Accepted(msgspec.Struct, frozen=True):
    """The provider took it. That is not delivery: only an ack of our own client is.

    `detail` tells what was cut to make it fit, empty when nothing was.
    """

    provider_id: str = ""
    detail: str = ""


class Retry(msgspec.Struct, frozen=True):
    """Temporary. `after_s` is the provider's own word and wins over our backoff; None leaves it to us.

    `scope` says for whom: this message, this device, or everything for this provider. `is_failure` says whether the circuit
    breaker counts it (server errors yes, throttling no). With `is_quota` the carrier was called faster than it allows, so that
    it is slowed down.
    """

    reason: str
    after_s: float | None = None
    scope: Literal["message", "device", "lane"] = "message"
    is_failure: bool = True
    is_quota: bool = False


class DropDevice(msgspec.Struct, frozen=True):
    """The address is dead since `as_of`; a later registration wins. Not `confident`: it may be our own mix-up."""

    reason: str
    as_of: datetime
    confident: bool = True


class DropMessage(msgspec.Struct, frozen=True):
    """This message can never pass there; the device is fine."""

    reason: str


class TooLarge(msgspec.Struct, frozen=True):
    """Larger than the provider takes, even after truncation."""

    limit_bytes: int


class ConfigPause(msgspec.Struct, frozen=True):
    """Our credentials or settings are wrong: nothing will pass until they are mended or a probe gets through."""

    reason: str
    after_s: float = 60.0


class Ambiguous(msgspec.Struct, frozen=True):
    """No answer after the request was sent: it may have been carried out. A repeat uses the same handle.

    Not `may_repeat`: the provider knows no handle, and a second one would be as real as the first.
    """

    reason: str
    may_repeat: bool = True


SendOutcome = Accepted | Retry | DropDevice | DropMessage | TooLarge | ConfigPause | Ambiguous
