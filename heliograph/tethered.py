"""Run a program that ends when its parent does: `python -m heliograph.tethered PARENT_PID PROGRAM ARGUMENT…`.

Linux sends a signal of choice to whoever asked for it when its parent ends (prctl(2), PR_SET_PDEATHSIG), and keeps the wish
across exec. Elsewhere the program runs as any other, and outlives a parent that is killed.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            sys.exit(1)  # it died before we had asked
    os.execv(program, [program, *arguments])  # noqa: S606 (that is what this is for)


if __name__ == "__main__":
    main()
