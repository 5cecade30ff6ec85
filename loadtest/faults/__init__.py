"""What happened while something was broken on purpose, and whether it was allowed to."""
