"""Entry point of the command line: turns errors into one line and an exit status."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``sermm`` with the arguments of this process."""
    from sermm.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
