"""Tokens for applications without a token service: made, refreshed and taken back here."""
