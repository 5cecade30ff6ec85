"""Names of keys and topics. One prefix for all; what belongs to one channel lies in one slot of a cluster.

A slot is chosen by the text between the first `{` and the next `}` of a key, if there is any. Ours begins with a colon, so
that it is never empty, whatever a channel is called; a channel with a brace in its name is cut short there, the same in all its
keys. No two names lead to one key: what varies stands at the end, or has its length told before it.
"""

__all__ = ["Keys"]


class Keys:
    """Makes keys under a prefix."""

    __slots__ = ("_prefix",)

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def tagged(self, kind: str, tag: str) -> str:
        """Make the key of `kind` for a channel, user or whatever `tag` names; kinds are short words without braces."""
        return f"{self._prefix}:{kind}:{{:{tag}}}"

    def tagged_entry(self, kind: str, tag: str, entry: str) -> str:
        """Make one of many keys of `kind` in the slot of `tag`."""
        return f"{self._prefix}:{kind}:{len(tag)}:{{:{tag}}}{entry}"

    def plain(self, kind: str, name: str) -> str:
        """Make a key that lies wherever its name leads; for what is reached alone."""
        return f"{self._prefix}:{kind}:{name}"

    def pattern(self) -> str:
        """Match every key of ours, for SCAN."""
        return f"{self._prefix}:*"

    # Streams

    def meta(self, channel: str) -> str:
        """Position, identity and version of a stream."""
        return self.tagged("m", channel)

    def publications(self, channel: str) -> str:
        """The kept publications of a stream, oldest first."""
        return self.tagged("s", channel)

    def answer(self, channel: str, idempotency_key: str) -> str:
        """What an idempotency key got."""
        return self.tagged_entry("i", channel, idempotency_key)

    def topic(self, channel: str) -> str:
        """The topic of Redis's own pub/sub that carries a channel."""
        return self.tagged("c", channel)
