"""Text formats of variables: reading, writing, merging, resolving. Server and command line import
this package, and it imports neither of them."""
