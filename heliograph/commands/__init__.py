"""The commands, one file each; they are imported when they are called, so that `heliograph --help` answers at once."""
