"""Caches of what stands in the store: cache-aside, in two levels."""
