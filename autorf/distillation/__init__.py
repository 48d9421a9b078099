"""Teach a small network by a large one: the stages, what they cost and what they gain."""
