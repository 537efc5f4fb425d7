"""`python -m dotenv_cloud.cli` is the `dotenv` command."""

from __future__ import annotations

from dotenv_cloud.cli import main

if __name__ == "__main__":
    main()
