"""Where everything but streams lies on the server: keys and topics."""

from typing import Final
from zlib import crc32

import msgspec

from broker.engines.redis.keys import Keys

__all__ = ["PARTITIONS", "ChannelPlaces", "Places"]

# Presence is spread over so many slots of a cluster. Nodes that differ in it would not find each other's entries.
PARTITIONS: Final = 128


class ChannelPlaces(msgspec.Struct, frozen=True, gc=False):
    """The keys of one channel's presence."""

    partition: int
    clients: str
    users: str
    leases: str


class Places:
    """Names of what nodes share. What one script touches has one tag."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.leases = keys.tagged("lease-ends", "lease")
        self.sweeper = keys.tagged("lease-sweeper", "lease")
        self.words = keys.tagged("words", "word")
        self.word_ends = keys.tagged("word-ends", "word")
        self.words_version = keys.tagged("words-version", "word")
        self.all_nodes = keys.plain("node", "")

    @staticmethod
    def partition(name: str) -> int:
        """Tell which part a channel's or a user's presence lies in."""
        return crc32(name.encode()) % PARTITIONS

    def presence(self, channel: str) -> ChannelPlaces:
        """Name a channel's presence."""
        partition, entry = self.partition(channel), self._keys.tagged_entry
        tag = str(partition)
        return ChannelPlaces(
            partition,
            entry("presence-clients", tag, channel),
            entry("presence-users", tag, channel),
            entry("presence-leases", tag, channel),
        )

    def presence_channels(self, partition: int, lease: str) -> str:
        """Name the list of channels of a part in which a lease has entries."""
        return self._keys.tagged_entry("presence-channels", str(partition), lease)

    def users(self, partition: int) -> str:
        """Name a part of the users that are connected."""
        return self._keys.tagged("users", str(partition))

    def limit(self, key: str) -> str:
        """Name the allowance of a key."""
        return self._keys.plain("limit", key)

    def limit_of(self, group: str, key: str) -> str:
        """Name the allowance of a key within a group, whose allowances share a slot."""
        return self._keys.tagged_entry("limit", group, key)

    def cache_generation(self, cache: str, home: str) -> str:
        """Name the generation of what caches keep of a home; `cache` is a word without a colon."""
        return self._keys.tagged("cache-generation", f"{cache}:{home}")

    def cache_entry(self, cache: str, home: str, entry: str) -> str:
        """Name one of the values that a cache keeps of a home."""
        return self._keys.tagged_entry("cache", f"{cache}:{home}", entry)

    def answer(self, node_id: str, asker: str, survey: int) -> str:
        """Name the parts of a node's answer to an asker's survey."""
        return self._keys.plain("answer", f"{asker}.{survey}.{node_id}")

    def one_node(self, node_id: str) -> str:
        """Name the topic that one node hears."""
        return self._keys.plain("node", node_id)
