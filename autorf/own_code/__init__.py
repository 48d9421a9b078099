"""Code of the user's own that a study names: where it is, what it says, and how it is imported."""
