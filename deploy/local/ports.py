"""Free TCP ports on the loopback interface."""

import random
import socket

# Below the range from which the kernel takes the local ports of outgoing connections (32768 and up on Linux):
# otherwise a client that keeps connecting to a killed server may get the server's port as its own, connect to itself,
# and keep the server from starting again.
_FIRST, _LAST = 20_000, 32_000
_given: set[int] = set()
_share = range(_FIRST, _LAST)


def keep_to_share(number: int, shares: int) -> None:
    """Processes that start servers at the same time use different shares, so that no two of them choose the same port
    before one of them listens on it."""
    global _share
    _share = range(_FIRST + number, _LAST, shares)


def free_port() -> int:
    """A port that no process listens on now and that this process has not used before."""
    for _ in range(200):
        port = random.choice(_share)  # noqa: S311
        if port not in _given and port_is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port found between {_FIRST} and {_LAST} on 127.0.0.1")


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
