"""Everything that outlives a connection or a process: real-time engines behind ports, and the durable store."""
