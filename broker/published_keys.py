"""Port: which keys issuers of tokens were last seen to publish, by any process of the fleet.

It is kept for the audit alone: keys decide whose tokens are good, so that a change of them is written down, once, whichever
nodes notice it, and not again by one that starts. Keys themselves are not kept, only digests that tell them apart.
"""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["PublishedKeys"]


class PublishedKeys(Protocol):
    """What was seen last."""

    async def note(self, issuer: str, keys: Mapping[str, str]) -> bool:
        """Keep what an issuer publishes now. Where that is something else than before, the audit gets a record of the system's:
        `issuer_keys.changed`, with the names that were added, removed, and given to another key. Of processes that note the
        same at the same time, one writes it.

        Args:
            issuer: By its name in the settings.
            keys: A digest of each key, by the key's name (`kid`); "" for those without.
        Returns:
            Whether it was something else.
        Raises:
            StoreUnavailable: Whether it was kept is unknown; noting it again is harmless.
        """
