"""Taking entries away."""
