"""What every route records."""
