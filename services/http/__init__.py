"""What lies between a socket and an answer: routes, messages, limits, errors, logs, metrics."""
