"""A rebuild that a service has started: `python -m entrypoints.cli.rebuild_process`. It ends with the service.

It reads its settings as a line of JSON from stdin, which the service keeps open for as long as it runs. On stdout it
reports, in lines of JSON, the generation that it builds and the error that stops it.
"""

import json
import logging
import os
import signal
import sys
import threading
from contextlib import aclosing
from typing import Any

from application.errors import RebuildRunning
from domain.errors import PostlogError
from entrypoints.cli import exit_codes
from entrypoints.cli.running import run_job
from entrypoints.composition.cli_scopes import open_rebuild
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import LoadedSettings, from_line
from entrypoints.settings.secret import mask

_SECONDS_TO_END = 5.0

logger = logging.getLogger(__name__)


def main() -> int:
    loaded = from_line(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    return run_job(lambda: _rebuild(loaded))


def _end_with_the_service() -> None:
    while os.read(sys.stdin.fileno(), 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_SECONDS_TO_END)
    os._exit(exit_codes.INTERRUPTED)  # a thread still waits for a server that does not respond


async def _rebuild(loaded: LoadedSettings) -> int:
    try:
        async with open_rebuild(loaded, "rebuild") as tools, aclosing(tools.rebuild.run()) as building:
            _report({"generation": (await anext(building)).generation})
            async for _ in building:
                continue
    except PostlogError as error:
        _report({"error": _described(error)})
        return exit_codes.COULD_NOT_RUN
    except SettingsError as error:
        _report({"error": {"code": "settings", "message": mask(str(error))}})
        return exit_codes.COULD_NOT_RUN
    except Exception as error:
        logger.exception("unexpected error")
        message = f"Internal error. This is a bug in Postlog: {type(error).__name__}."
        _report({"error": {"code": "internal-error", "message": message}})
        return exit_codes.COULD_NOT_RUN
    return exit_codes.DONE


def _described(error: PostlogError) -> dict[str, Any]:
    described = {"code": error.code, "message": mask(error.message)}
    return described | ({"generation": error.generation} if isinstance(error, RebuildRunning) else {})


def _report(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
