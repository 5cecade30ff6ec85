"""Implementations of the real-time ports, one folder each; only composition roots name them."""
