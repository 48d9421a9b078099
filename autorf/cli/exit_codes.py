"""The command line's exit codes."""

DONE = 0
FAILED_TRIALS = 1
BAD_INPUT = 2
INTERRUPTED = 130
