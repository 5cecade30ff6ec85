"""Notification and device in, body and headers out: one pure module per provider, and the rule by which texts are shortened."""
