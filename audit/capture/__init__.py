"""How a change becomes an entry."""
