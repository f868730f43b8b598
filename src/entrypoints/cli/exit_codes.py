"""What the exit status of every command means; and a command's help says which of them it can end with."""

DONE = 0
DATA = 1
COULD_NOT_RUN = 2
FAULT = 70
"""A bug in Postlog itself, whose traceback is in the log; the number is `EX_SOFTWARE` of sysexits.h."""

INTERRUPTED = 130

_COULD_NOT_RUN = "could not run: usage, settings, a server that does not answer"


def epilog(example: str, *, done: str = "done", data: str | None = None, job: bool = False) -> str:
    """The end of a help page: one example, and the statuses with their meaning here. A job is what Ctrl-C interrupts
    with status 130; a service that is stopped has done its work."""
    statuses = [f"{DONE} {done}"]
    if data is not None:
        statuses.append(f"{DATA} {data}")
    statuses.append(f"{COULD_NOT_RUN} {_COULD_NOT_RUN}")
    statuses.append(f"{FAULT} a bug in Postlog")
    if job:
        statuses.append(f"{INTERRUPTED} interrupted")
    return f"Example: {example}\n\nExit status: {'; '.join(statuses)}."
