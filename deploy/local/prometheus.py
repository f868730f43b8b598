"""A Prometheus on 127.0.0.1, built from its Go module; it has no pages of its own."""

from pathlib import Path

from local.ports import free_port
from local.processes import ServerProcess
from local.waiting import answers_ok


class Prometheus:
    """`programs` is the folder with `prometheus`, `config` the text of its configuration, `folder` where its data
    goes."""

    def __init__(self, programs: Path, folder: Path, config: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "prometheus.yml"
        file.write_text(config)
        command: list[str | Path] = [
            programs / "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._process = ServerProcess("Prometheus", command, log=folder / "prometheus.log")

    def start(self) -> None:
        self._process.start()
        self._process.wait_until(lambda: answers_ok(self._port, "/-/ready"), seconds=60)

    def stop(self) -> None:
        self._process.stop()
