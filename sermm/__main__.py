"""Entry point of the command line: turns errors into one line and an exit status."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run ``sermm`` with the arguments of this process."""
    from sermm.cli import run

    # a batch system's SIGTERM and a closed terminal stop us as Ctrl-C does; nohup stays as it is
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
