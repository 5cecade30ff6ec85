"""The notification methods: the same for backends over the API and for the connected user over RPC."""
