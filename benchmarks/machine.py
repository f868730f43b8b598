"""What the figures hold for: the machine, and how long its disk takes to keep something."""

import os
import platform
import statistics
import time
from pathlib import Path


def fsync_seconds(folder: Path, times: int = 100) -> float:
    """The median of appending 4 KB to a file in `folder` and waiting until it is on the disk."""
    path = folder / "fsync"
    block = b"\0" * 4_096
    taken: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(taken)


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} CPUs ({_cpu()}), {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def load_average() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
