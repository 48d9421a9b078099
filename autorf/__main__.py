"""``python -m autorf``: the command line."""

from autorf.cli import main

if __name__ == "__main__":
    main()
