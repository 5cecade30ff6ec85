"""The application's backend, asked about events over HTTP: who connects, subscribes, publishes, calls, and until when."""
