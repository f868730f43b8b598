import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from local.folders import server_folder
from local.processes import ServerFailedError, ServerProcess


def test_a_server_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = ServerProcess("it", ["sh", "-c", "echo no such setting; exit 3"], log=tmp_path / "it.log")
    process.start()

    with pytest.raises(ServerFailedError, match=r"(?s)it exited with status 3.*no such setting"):
        process.wait_until(lambda: False, seconds=10)


def test_a_server_that_never_answers_is_reported_after_the_deadline(tmp_path: Path) -> None:
    process = ServerProcess("it", ["sleep", "60"], log=tmp_path / "it.log")
    process.start()

    with pytest.raises(ServerFailedError, match=r"did not respond within 0\.1 s"):
        process.wait_until(lambda: False, seconds=0.1)
    process.kill()


def test_kill_takes_children_in_other_process_groups_along(tmp_path: Path) -> None:
    process = ServerProcess("it", ["sh", "-c", "setsid sleep 60 & echo $!; wait"], log=tmp_path / "it.log")
    process.start()
    process.wait_until(lambda: process.log.read_text().strip() != "", seconds=10)

    process.kill()

    assert not running(int(process.log.read_text()))


def test_a_server_dies_with_the_process_that_started_it_and_its_folder_goes_at_the_next_start() -> None:
    program = """
        import os, signal
        from local.folders import server_folder
        from local.processes import ServerProcess

        with server_folder() as folder:
            process = ServerProcess("it", ["sh", "-c", "echo up; sleep 60"], log=folder / "it.log")
            process.start()
            process.wait_until(lambda: "up" in process.log.read_text(), seconds=10)
            print(process._process.pid, folder, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    pid, folder = parent.stdout.split()

    deadline = time.monotonic() + 10
    while running(int(pid)):
        assert time.monotonic() < deadline, "the server is still there 10 s after its parent"
        time.sleep(0.01)
    with server_folder() as another:
        assert another.exists()
        assert not Path(folder).exists()


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "XZ"
