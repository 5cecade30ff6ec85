"""What a notification says to one reader: its texts in their language, and the way out of a mail."""
