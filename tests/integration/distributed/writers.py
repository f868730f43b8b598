"""People who write through the command API and send each command, with its key, until it is acknowledged."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

_PATIENCE_SECONDS = 60.0
_RETRIED = {httpx.codes.SERVICE_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """`effect` is the text that only this command brings into the log: a message, a username, a comment."""

    effect: str
    event: str
    post_id: str
    version: int
    position: int


@dataclass(slots=True)
class Writer:
    """Addresses take turns, request by request; they may change at any time. `pause` is in seconds, after each post.
    `refusals` has the codes of responses after which a request was sent again."""

    number: int
    addresses: Sequence[str]
    pause: float
    stopping: threading.Event
    acknowledged: list[Acknowledged] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    _sent: int = 0

    def run(self) -> None:
        with httpx.Client(timeout=25) as client:
            while not self.stopping.is_set() and not self.unexpected:
                self._write_a_post(client)
                self.stopping.wait(self.pause)

    def _write_a_post(self, client: httpx.Client) -> None:
        name = f"{self.number}-{len(self.acknowledged)}"
        created = self._send(
            client, "PostCreated", "", {"author": f"writer {self.number}", "message": name}, f"message {name}"
        )
        for n in range(3):
            if created:
                self._send(client, "PostLiked", f"/{created}/likes", {"username": f"liker {name}-{n}"}, None)
        if created:
            body = {"username": f"writer {self.number}", "comment": f"comment {name}"}
            self._send(client, "CommentAdded", f"/{created}/comments", body, body["comment"])

    def _send(
        self, client: httpx.Client, event: str, path: str, body: dict[str, str], effect: str | None
    ) -> str | None:
        """The post's id, once it is acknowledged."""
        effect = effect or body["username"]
        if event == "PostCreated":
            body = body | {"message": effect}
        key = {"Idempotency-Key": effect.replace(" ", "-")}
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            self._sent += 1
            addresses = tuple(self.addresses)
            address = addresses[self._sent % len(addresses)]
            try:
                answer = client.post(f"{address}/api/v1/posts{path}", json=body, headers=key)
            except httpx.TransportError:
                self.stopping.wait(0.05)
                continue
            if answer.is_success:
                told = answer.json()
                self.acknowledged.append(Acknowledged(effect, event, told["id"], told["version"], told["position"]))
                return str(told["id"])
            if answer.status_code not in _RETRIED:
                self.unexpected.append(f"{answer.status_code} {answer.text}")
                return None
            self.refusals[answer.json()["code"]] += 1
            self.stopping.wait(0.05)
        self.unexpected.append(f"no acknowledgement of {effect!r} within {_PATIENCE_SECONDS:g} s")
        return None


class Writers:
    def __init__(self, count: int, addresses: Sequence[str], pause: float) -> None:
        self.addresses = list(addresses)
        self._stopping = threading.Event()
        self._writers = [Writer(number, self.addresses, pause, self._stopping) for number in range(count)]
        self._threads = [threading.Thread(target=writer.run, daemon=True) for writer in self._writers]

    @property
    def acknowledged(self) -> list[Acknowledged]:
        return [each for writer in self._writers for each in list(writer.acknowledged)]

    @property
    def refusals(self) -> Counter[str]:
        return sum((writer.refusals for writer in self._writers), Counter[str]())

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def tell_to_stop(self) -> None:
        self._stopping.set()

    def stop(self) -> list[Acknowledged]:
        """Everything acknowledged; what was under way is acknowledged first."""
        self.tell_to_stop()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS + 30)
        assert not any(thread.is_alive() for thread in self._threads)
        assert [each for writer in self._writers for each in writer.unexpected] == []
        return self.acknowledged

    def wait_for_more(self, count: int, deadline: float = 60) -> None:
        """Until so many more commands are acknowledged than now."""
        wanted, until = len(self.acknowledged) + count, time.monotonic() + deadline
        while len(self.acknowledged) < wanted:
            unexpected = [each for writer in self._writers for each in writer.unexpected]
            assert not unexpected, unexpected
            assert time.monotonic() < until, (
                f"{wanted - len(self.acknowledged)} of {count} acknowledgements are missing"
            )
            time.sleep(0.02)


@contextmanager
def writing(count: int, *addresses: str, pause: float = 0.0) -> Iterator[Writers]:
    """So many people, from now on; those who go on when the block ends, because it failed, are told to stop."""
    writers = Writers(count, addresses, pause)
    writers.start()
    try:
        yield writers
    finally:
        writers.tell_to_stop()
