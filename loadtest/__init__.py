"""Load: swarms, scenarios and reports; and simulators of the providers that speak the real protocols."""
