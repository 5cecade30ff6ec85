"""What of the pipeline is traced; made only where tracing is on."""
