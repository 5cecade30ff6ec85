"""What every other package may rest on: settings, the clock, logs and metrics. Imports nothing of ours."""
