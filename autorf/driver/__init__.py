"""Runs a study: what is planned, what runs next, when it ends, and how it is told."""
