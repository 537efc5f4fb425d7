"""Text formats of variables: read, written, merged, resolved. Of no use to what is secret, and with
no knowledge of server or command line, which both import it."""
