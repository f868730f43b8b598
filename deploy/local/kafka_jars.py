"""Kafka's jars from Maven Central, kept in a cache folder outside the checkout."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from local.processes import ServerFailedError

VERSION = "4.1.1"


def jars_folder() -> Path:
    """$XDG_CACHE_HOME/postlog/kafka-<version>; it exists only if it is complete."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "postlog" / f"kafka-{VERSION}"


def have_jars() -> bool:
    return jars_folder().is_dir()


def can_fetch() -> bool:
    return shutil.which("mvn") is not None


def fetch_jars() -> Path:
    """The folder with the jars, fetched if they are missing: 43 MB. An interrupted fetch is repeated."""
    target = jars_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not have_jars():
            unfinished = target.with_name(f"{target.name}.part")
            shutil.rmtree(unfinished, ignore_errors=True)
            _copy_dependencies(unfinished)
            unfinished.rename(target)
    return target


def _copy_dependencies(folder: Path) -> None:
    pom = Path(__file__).with_name("pom.xml")
    command = [
        "mvn",
        "--batch-mode",
        "--quiet",
        "-Dstyle.color=never",
        "--file",
        str(pom),
        "dependency:copy-dependencies",
    ]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder}", f"-Dkafka.version={VERSION}"]
    fetched = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        raise ServerFailedError(f"Maven could not fetch Kafka {VERSION}:\n{fetched.stdout}{fetched.stderr}")
