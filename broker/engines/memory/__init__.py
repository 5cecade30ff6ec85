"""The engine of a single process: everything in memory, gone with it."""
