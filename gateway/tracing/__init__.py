"""What of a gateway is traced; made only where tracing is on."""
