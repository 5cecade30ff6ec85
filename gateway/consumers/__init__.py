"""Consumers of events: calls of the API that come from a log instead of over HTTP."""
