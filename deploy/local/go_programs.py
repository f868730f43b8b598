"""Programs that are built from their Go module, once, and kept in a cache folder outside the checkout."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.cache import cache_folder, filled
from local.processes import ServerFailedError


@dataclass(frozen=True, slots=True)
class GoPrograms:
    """`packages` are the commands of one module, at `version`."""

    name: str
    version: str
    packages: tuple[str, ...]
    tags: str = ""

    @property
    def folder(self) -> Path:
        """It exists only if the programs are built."""
        return cache_folder(f"{self.name}-{self.version}")

    def find(self) -> Path | None:
        """The folder with all of them: on the PATH, or built here, which takes minutes the first time; None without Go.
        Raises ServerFailedError if the build fails."""
        names = [_program(package) for package in self.packages]
        places = {Path(place).parent for place in map(shutil.which, names) if place}
        on_path = [place for place in places if all((place / name).exists() for name in names)]
        if on_path:
            return on_path[0]
        if not self.folder.is_dir() and shutil.which("go") is None:
            return None
        return filled(self.folder, self._build)

    def _build(self, folder: Path) -> None:
        """At the lowest priority. The checksums of all modules are verified by Go's checksum database."""
        for command in (
            ["mod", "init", "postlog.local/programs"],
            ["get", *(f"{package}@{self.version}" for package in self.packages)],
            ["build", "-trimpath", "-ldflags=-s -w", f"-tags={self.tags}", "-o", f"{folder}/", *self.packages],
        ):
            done = subprocess.run(
                ["nice", "-n", "19", "go", *command], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise ServerFailedError(
                    f"{self.name} {self.version} could not be built: `go {command[0]}`: {done.stdout}{done.stderr}"
                )


def _program(package: str) -> str:
    """Go names it after the last folder that is not a major version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


PROMETHEUS = GoPrograms(
    "prometheus",
    "v0.316.0",
    ("github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus/cmd/promtool"),
    tags="remove_all_sd",  # without the clients of all clouds
)
"""Version 3.16 of Prometheus: the module numbers it 0.316."""

KUSTOMIZE = GoPrograms("kustomize", "v5.7.1", ("sigs.k8s.io/kustomize/kustomize/v5",))
