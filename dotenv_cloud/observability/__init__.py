"""How an operator observes the running service: logs, metrics and probes."""
