"""The `dotenv` command: what a user types. It talks HTTP and imports nothing of the server."""

from __future__ import annotations

from dotenv_cloud.cli.root import main

__all__ = ["main"]
