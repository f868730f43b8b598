"""What `postlog` runs first. The command line itself takes a moment to import, in which Ctrl-C is no reason for a
traceback. Processes that a verb starts import this module too, and are spared the rest.
"""

import sys

from entrypoints.cli import exit_codes


def main() -> None:
    try:
        from entrypoints.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(exit_codes.INTERRUPTED)
