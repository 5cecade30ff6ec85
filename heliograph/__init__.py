"""The composition root: the one place that puts the packages together into processes."""
