"""Kafka's jars from Maven Central, kept in a cache folder outside the checkout."""

import shutil
import subprocess
from pathlib import Path

from local.cache import cache_folder, filled
from local.processes import ServerFailedError

VERSION = "4.1.1"


def jars_folder() -> Path:
    """It exists only if it is complete."""
    return cache_folder(f"kafka-{VERSION}")


def have_jars() -> bool:
    return jars_folder().is_dir()


def can_fetch() -> bool:
    return shutil.which("mvn") is not None


def fetch_jars() -> Path:
    """The folder with the jars, fetched if they are missing: 43 MB. An interrupted fetch is repeated."""
    return filled(jars_folder(), _copy_dependencies)


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
