"""Whom a client speaks for, and how that is proved."""
