"""The command line: a thin table of commands."""

from autorf.cli.app import main

__all__ = ["main"]
