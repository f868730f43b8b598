"""Measures the room on the disk of a file that grows."""

import shutil
from pathlib import Path

from application.ports.provisioning import ProbeResult
from application.ports.system import Metrics

ENOUGH_BYTES = 512 * 1024 * 1024


class FreeDiskProbe:
    """`setting` is the path of the setting that names the file. Each probe also sets the gauge `disk_free_bytes`."""

    def __init__(self, file: Path, setting: str, metrics: Metrics) -> None:
        self.name = f"disk of {setting}"
        self._file = file
        self._setting = setting
        self._metrics = metrics

    async def probe(self) -> ProbeResult:
        try:
            free = shutil.disk_usage(_existing(self._file.absolute())).free
        except OSError as error:
            return ProbeResult(self.name, ok=False, detail=f"{self._file}: {error.strerror or error}.")
        self._metrics.gauge("disk_free_bytes", free, setting=self._setting)
        room = f"{free / 1024**3:,.1f} GB are free beside {self._file}"
        if free < ENOUGH_BYTES:
            return ProbeResult(self.name, ok=False, detail=f"Only {room}; make room, or no command can be stored soon.")
        return ProbeResult(self.name, ok=True, detail=f"{room}.")


def _existing(path: Path) -> Path:
    """The file, or the nearest existing folder above it."""
    return next(place for place in (path, *path.parents) if place.exists())
