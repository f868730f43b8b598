"""The exit statuses of all commands, and the end of a help page, which lists those of its command. A file of its own,
since `postlog` reads it before anything slow is imported."""

import signal
import sys

DONE = 0
DATA = 1
COULD_NOT_RUN = 2
FAULT = 70
"""A bug in Postlog, whose traceback is in the log; the number is `EX_SOFTWARE` of sysexits.h."""

INTERRUPTED = 130

_COULD_NOT_RUN = "could not run: usage, settings, a server that does not respond"


def epilog(example: str, *, done: str = "done", data: str | None = None, job: bool = False) -> str:
    """One example, and the statuses with their meaning here. Ctrl-C interrupts a job (status 130); a service that is
    stopped ends with 0."""
    statuses = [f"{DONE} {done}"]
    if data is not None:
        statuses.append(f"{DATA} {data}")
    statuses.append(f"{COULD_NOT_RUN} {_COULD_NOT_RUN}")
    statuses.append(f"{FAULT} a bug in Postlog")
    if job:
        statuses.append(f"{INTERRUPTED} interrupted")
    return f"Example: {example}\n\nExit status: {'; '.join(statuses)}."


def end_cleanly_on_signals() -> None:
    """End with status 0 on Ctrl-C and SIGTERM: for a service, until it handles signals itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(DONE))
