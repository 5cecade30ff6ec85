"""Those who carry a notification to a device: one module each, all played through the port in `pushers.provider`."""
