"""The page of development mode: two users, one notification, and where it travels. Never mounted in real use."""
