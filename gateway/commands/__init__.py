"""What clients ask, one command per file. Each answers through the callable it is given, at the moment that order demands."""
