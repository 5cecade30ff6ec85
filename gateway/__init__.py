"""Connections: who is there, what they may do, and how a message reaches them."""
