#!/usr/bin/env python
"""Runs a management command; an installed wheel has the same as `dotenv-cloud`."""

from __future__ import annotations

from dotenv_cloud.__main__ import main

if __name__ == "__main__":
    main()
