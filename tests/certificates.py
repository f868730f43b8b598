"""Certificates made on the spot, by the command openssl."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from missing import skip_or_fail

HERE = "IP:127.0.0.1,DNS:localhost"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`both` has the key and the certificate in one file."""

    certificate: Path
    key: Path

    @property
    def both(self) -> Path:
        return self.certificate.with_suffix(".pem")


class Authority:
    """Signs certificates. Skips the test where there is no openssl."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            skip_or_fail("no openssl on this machine: install it (Debian: 'openssl')")
        self._folder = folder / name
        self._folder.mkdir()
        self.certificate = self._folder / "ca.crt"
        self._key = self._folder / "ca.key"
        openssl("req", "-x509", *_new_key(self._key), "-subj", f"/CN={name}", "-out", str(self.certificate))

    def sign(self, name: str, names: str = HERE) -> Certificate:
        """`names` are those it is for, as `DNS:a.example,IP:127.0.0.1`."""
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
        openssl("req", *_new_key(made.key), *subject, "-out", str(request))
        signer = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
        openssl("x509", "-req", "-in", str(request), *signer, "-copy_extensions", "copy", "-out", str(made.certificate))
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        return made


def openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _new_key(file: Path) -> list[str]:
    return ["-newkey", "rsa:2048", "-nodes", "-keyout", str(file)]
