"""The measuring processes: subscribers, publisher and notifier, each with its own event loop."""
