"""A rebuild that a service has begun: `python -m entrypoints.cli.rebuild_process`. It ends with the service.

Its settings come as a line of JSON on stdin, which the service holds open for as long as it lives. stdout says, in
lines of JSON, which generation is built, and what stops it.
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
    os._exit(exit_codes.INTERRUPTED)  # something waits for a server that does not answer


async def _rebuild(loaded: LoadedSettings) -> int:
    from entrypoints.composition.cli_scopes import open_rebuild

    try:
        async with open_rebuild(loaded, "rebuild") as tools:
            async with aclosing(tools.rebuild.run()) as building:
                _say({"generation": (await anext(building)).generation})
                async for _ in building:
                    continue
            await tools.parked.retry_all()
    except PostlogError as error:
        _say({"error": _described(error)})
        return exit_codes.COULD_NOT_RUN
    except SettingsError as error:
        _say({"error": {"code": "settings", "message": mask(str(error))}})
        return exit_codes.COULD_NOT_RUN
    except Exception as error:
        logger.exception("unexpected error")
        _say({"error": {"code": "internal-error", "message": f"A fault of Postlog itself: {type(error).__name__}."}})
        return exit_codes.COULD_NOT_RUN
    return exit_codes.DONE


def _described(error: PostlogError) -> dict[str, Any]:
    described = {"code": error.code, "message": mask(error.message)}
    return described | ({"generation": error.generation} if isinstance(error, RebuildRunning) else {})


def _say(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
