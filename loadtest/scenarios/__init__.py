"""One module per scenario: its plan, how it is conducted, and how its result is made."""
