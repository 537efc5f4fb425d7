"""Tables that are written to beside the service's own."""
