"""What an entry is, and how it is written down for people and programs."""
