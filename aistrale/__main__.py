"""`python -m aistrale` is the command line."""

from __future__ import annotations

from aistrale.cli import main

if __name__ == "__main__":
    main()
