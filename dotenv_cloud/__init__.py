"""The site: settings, URLs, the embedded database, the API's plumbing and the `dotenv` command.

What the service knows lives in `organizations`, `keys` and `audit`; this package puts them
together.
"""
