"""Evidence: one Merkle tree for each log, so that nobody need trust this server."""
