"""`python -m local.setup`: makes the test servers available on this machine; does nothing if they are.

As root on Debian it installs missing packages with apt-get, after printing their names. With POSTLOG_APT=no in the
environment it installs none.
"""

import ctypes
import os
import shutil
import subprocess
import sys

from local.go_programs import KUSTOMIZE, PROMETHEUS
from local.kafka_jars import VERSION, fetch_jars, have_jars, jars_folder
from local.processes import ServerFailedError
from local.programs import find_chromium, find_mongod, find_pgbouncer, find_postgres


def main() -> int:
    """0 even if something is missing: its tests are skipped, with the reason. In CI 1."""
    missing = install(missing_packages())
    problems = [f"missing; the tests that need them are skipped: {' '.join(missing)}"] if missing else []
    if missing:
        problems.append(f"run `apt-get install {' '.join(missing)}` as root to install them")
    try:
        if shutil.which("mvn") and not have_jars():
            print(f"fetching Kafka {VERSION} from Maven Central (43 MB)", flush=True)
            fetch_jars()
        if shutil.which("go") and shutil.which("kustomize") is None and not KUSTOMIZE.folder.is_dir():
            print(f"building Kustomize {KUSTOMIZE.version} from its Go module (half a minute)", flush=True)
            KUSTOMIZE.find()
    except ServerFailedError as error:
        problems.append(str(error))
    for line in [*places(), *problems]:
        print(line)
    return 1 if problems and os.environ.get("CI") else 0


def missing_packages() -> list[str]:
    """The Debian packages that are missing: Java, Maven, the ODBC manager, a browser, a pooler, the analyzer of
    systemd's units, MongoDB's libraries."""
    needed = {
        "default-jre-headless": shutil.which("java") is None,
        "maven": shutil.which("mvn") is None and not have_jars(),
        "unixodbc": not _loads("libodbc.so.2"),
        "chromium": find_chromium() is None,
        "pgbouncer": find_pgbouncer() is None,
        "systemd": shutil.which("systemd-analyze") is None,
        "libcurl4": find_mongod() is not None and not _loads("libcurl.so.4"),
    }
    return [package for package, is_missing in needed.items() if is_missing]


def install(packages: list[str]) -> list[str]:
    """Install them if that is allowed; returns those that are still missing."""
    if not packages or os.environ.get("POSTLOG_APT") == "no" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return packages
    print(
        f"installing Debian packages for the tests, with apt-get: {' '.join(packages)} "
        "(POSTLOG_APT=no prevents this; the tests that need them are then skipped)",
        flush=True,
    )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=quiet, check=False)
    subprocess.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], env=quiet, check=False)
    return missing_packages()


def places() -> list[str]:
    """One line per program with its path."""
    found = {
        "mongod": find_mongod(),
        "PostgreSQL": find_postgres(),
        "Chromium": find_chromium(),
        "PgBouncer": find_pgbouncer(),
        f"Kafka {VERSION}": jars_folder() if have_jars() else None,
        f"Kustomize {KUSTOMIZE.version}": KUSTOMIZE.folder if KUSTOMIZE.folder.is_dir() else shutil.which("kustomize"),
    }
    built = PROMETHEUS.folder if PROMETHEUS.folder.is_dir() else "the long tests build it, with Go, in minutes"
    lines = [f"{name}: {place or 'none on this machine'}" for name, place in found.items()]
    return [*lines, f"Prometheus {PROMETHEUS.version}: {built}"]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
