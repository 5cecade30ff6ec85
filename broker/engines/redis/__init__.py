"""The engine of a fleet: everything in Redis or Valkey, single, behind Sentinel or as a cluster."""
