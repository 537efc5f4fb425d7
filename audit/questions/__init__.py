"""Asking the log."""
