"""What somebody else's package adds: each file below is one thing, and one line of its entry points."""
