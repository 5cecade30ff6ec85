"""One client's life: its states, its commands in order, its subscriptions and their recovery."""
