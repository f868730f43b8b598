"""What `postlog` runs first. The command line itself takes a moment to import, in which Ctrl-C is no reason for a
traceback. Processes that a verb starts import this module too, and are spared the rest.
"""

import io
import os
import sys

from entrypoints.cli import exit_codes

_MINE_ALONE = 0o077
"""Files and folders that Postlog makes hold people's data: 0600 and 0700, whatever umask the shell has. SQLite gives
the files beside a database the mode of the database, so that one whose mode was changed keeps it."""


def main() -> None:
    _prepare_streams()
    os.umask(_MINE_ALONE)
    try:
        from entrypoints.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(exit_codes.INTERRUPTED)


def _prepare_streams() -> None:
    """stdin, stdout and stderr are there, also where whoever started this has closed them: else a socket would get the
    number of one, and the event loop ends the process when it is closed. And a sign that the stream's encoding does
    not know is written as an escape."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
