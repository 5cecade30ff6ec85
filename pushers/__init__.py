"""The notification pipeline: decides the next route, sends it through a provider, and writes down what became of it."""
