"""The verbs of `kindred`, and what they share."""
