"""The entry point of `postlog`: prepares streams and umask, then imports the command line.

The import takes a moment, in which Ctrl-C should not print a traceback. Processes that a verb starts import this module
too, and not the command line.
"""

import io
import os
import sys

from entrypoints.cli import exit_codes

_OWNER_ONLY = 0o077
"""Files and folders that Postlog creates contain personal data: 0600 and 0700, whatever umask the shell has. SQLite
gives the files beside a database the mode of the database, so a mode that was changed is kept."""


def main() -> None:
    _prepare_streams()
    os.umask(_OWNER_ONLY)
    try:
        from entrypoints.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(exit_codes.INTERRUPTED)


def _prepare_streams() -> None:
    """Open stdin, stdout and stderr where the parent process has closed them: otherwise a socket would get the number
    of one, and the event loop would end the process when that socket is closed. Characters that a stream's encoding
    lacks are written as escapes."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
