"""Accounts: signing in and out, passwords, and joining by invitation."""
