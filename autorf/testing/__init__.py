"""Checks that any model or method, built-in or third-party, can be put through."""
