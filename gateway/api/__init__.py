"""The HTTP API for backends, one file per group of methods."""
