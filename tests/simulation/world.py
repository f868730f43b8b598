"""One run of the simulation: servers, processes and clients on a virtual clock, and the faults of a seed."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

from adapters.memory.bus import MemoryBus
from adapters.memory.log import MemoryLog
from adapters.memory.read_db import MemoryReadDb, SlotRows
from application.command_side.idempotency import commit_id_of
from application.command_side.post_commands import PostCommands
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import (
    LogChanged,
    NotYetVisible,
    PositionBeyondLog,
    PostParked,
    RebuildCancelled,
    RebuildRunning,
    Unavailable,
    VersionMismatch,
)
from application.mediator import CommandResult
from application.ports.bus import CommitEntry, Publication
from application.ports.generations import Build
from application.ports.post_views import PostFilter
from application.ports.read_db import CheckpointMoved
from application.query_side.posts import GetPost, ListPosts
from application.rows import CommentRow
from domain.commands import LikePost, PostCommand
from domain.errors import PostlogError, PostNotFound
from domain.ids import CommentId, PostId
from simulation.bus_server import BusServer, SimulatedSubscription
from simulation.checker import (
    History,
    Operation,
    Read,
    Violation,
    check_checkpoints,
    check_commands,
    check_parked,
    check_reads,
    check_row,
    require,
)
from simulation.clients import NOON, Commands, context_of, post_id
from simulation.faults import Fault, Faults, draw_faults
from simulation.log_server import LogServer, Seen, SimulatedEventStore
from simulation.network import LONGEST_CALL_SECONDS, Network, now_of
from simulation.processes import MachineClock, Parts, QuietMetrics, SeededIds, Sizes, draw_sizes
from simulation.read_db_server import ReadDbServer
from simulation.virtual_loop import CURRENT, SERVER_CONTEXT, NothingLeft, Process, TooLong, VirtualLoop

logger = logging.getLogger(__name__)

_FAULT_SECONDS = 12.0
_HEALING_SECONDS = 300.0
_MAX_STEPS = 400_000
_RETRIES = 6

_ROLES = (
    *("command", "command", "relay", "relay", "projector", "projector", "query", "query"),
    *("maintenance", "maintenance", "audit"),
)


_OPERATIONS = (
    *("rebuild", "rebuild", "restart", "interrupted rebuild", "interrupted rebuild", "cancel"),
    *("retry", "audit", "sample", "repair"),
)


class ProcessLost(Exception):
    """The process was killed before it answered, or did not run, or the client hung up."""


@dataclass(frozen=True, slots=True)
class Result:
    """`violation` is None when every promise was kept. `digest` is the same for the same run."""

    seed: int
    violation: str | None
    faults: Sequence[Fault]
    injected: Counter[str]
    operations: Sequence[Operation]
    reads: Sequence[Read]
    commits: int
    seconds: float
    steps: int
    digest: str


@dataclass
class Machine:
    """Runs one role; when its process is killed, another one is started."""

    world: "World"
    number: int
    role: str
    process: Process | None = None
    service: Any = None
    clock: MachineClock = field(init=False)
    _subscription: SimulatedSubscription | None = None

    def __post_init__(self) -> None:
        self.clock = MachineClock(self.world.loop.time)

    def start(self) -> None:
        if self.process is not None and self.process.alive:
            return
        process = self.process = Process(self.world.loop, f"{self.role} {self.number}")
        process.at_death.append(lambda: self._clean_up(process))
        parts = self.world.parts(self.clock)
        if self.role == "command":
            self.service = parts.commands()
        elif self.role == "query":
            self.service = parts.queries()
        else:
            task = process.run(self._run(parts))
            task.add_done_callback(self.world.ended)

    def kill(self, seconds: float) -> None:
        if self.process is not None:
            self.process.kill()
        self.world.later(seconds, self.start)

    def kill_soon(self, steps: int, seconds: float) -> None:
        """After so many more steps, which may be between any two awaits."""
        if self.process is not None and self.process.alive:
            self.process.fuse = steps
            self.process.at_death.append(lambda: self.world.later(seconds, self.start))

    def pause(self, seconds: float) -> None:
        process = self.process
        if process is None or not process.alive or process.paused:
            return
        process.pause()
        if self._subscription is not None and seconds > 1.0:
            self._subscription.expel()
        self.world.later(seconds, process.resume)

    async def _run(self, parts: Parts) -> None:
        match self.role:
            case "relay":
                await parts.relay().run()
            case "projector" if self.world.sizes.uses_bus:
                self._subscription = SimulatedSubscription(self.world.bus, self.world.bus.memory.subscription("sim"))
                await parts.bus_consumer(self._subscription).run()
            case "projector":
                await parts.log_consumer().run()
            case "maintenance":
                await self._maintain(parts)
            case "audit":
                await parts.continuous_audit().run()

    async def _maintain(self, parts: Parts) -> None:
        """What operators do, one after the other; not after the faults, because a rebuild would bring up to date what
        projectors can't."""
        random = Random(self.world.random.getrandbits(32))
        while self.world.loop.time() < _FAULT_SECONDS:
            await asyncio.sleep(random.uniform(0.1, 4.0))
            what = random.choice(_OPERATIONS)
            try:
                await self._operate(parts, what, random)
            except (Unavailable, RebuildRunning, RebuildCancelled, CheckpointMoved):
                continue

    async def _operate(self, parts: Parts, what: str, random: Random) -> None:
        match what:
            case "rebuild" | "restart":
                await _drained(parts.rebuild().run(restart=what == "restart"))
            case "interrupted rebuild":
                await _drained(parts.rebuild().run(), random.randint(1, 4))
            case "cancel":
                for build in await parts.generations.builds(1):
                    await parts.generations.cancel(build, parts.clock.now())
            case "retry":
                await parts.parked_retry().retry_all()
            case "audit":
                self.world.check_audit((await parts.audit().run()).differences)
            case "sample":
                self.world.check_audit((await parts.audit().sample(random.randint(1, 4))).differences)
            case "repair":
                await parts.repair().repair(random.choice(self.world.posts))

    def _clean_up(self, process: Process) -> None:
        """What the servers notice of its end."""
        self.world.read_db.cut(process)
        if self._subscription is not None:
            self.world.later(self.world.random.uniform(0.0, 3.0), self._subscription.expel)
            self._subscription = None


class World:
    def __init__(self, seed: int, loop: VirtualLoop, faults: Sequence[Fault] | None = None) -> None:
        self.loop = loop
        self.random = random = Random(seed)
        self.sizes: Sizes = draw_sizes(random)
        drawn = draw_faults(random, _FAULT_SECONDS, len(_ROLES))
        self.faults = Faults(drawn if faults is None else faults)
        self.network = Network(Random(random.getrandbits(32)), self.faults)
        memory_log, memory_db = MemoryLog(), MemoryReadDb()
        memory_log.log_id, memory_db.id = str(UUID(int=random.getrandbits(128))), f"{random.getrandbits(32):08x}"
        self.log = LogServer(self.network, memory_log, loop.time)
        self.read_db = ReadDbServer(self.network, memory_db)
        self.bus = BusServer(self.network, MemoryBus(self.sizes.partitions))
        self.posts = [post_id(number) for number in range(1, random.randint(2, 5))]
        self.commands = Commands(Random(random.getrandbits(32)), self.posts, removes=random.random() < 0.5)
        self.history = History()
        self.operations: list[Operation] = []
        self.reads: list[Read] = []
        self.foreign: set[str] = set()
        self._several_ids = SeededIds(Random(random.getrandbits(32)))
        self.lowest = 0
        self.violation: str | None = None
        self.failed: asyncio.Future[None] = loop.create_future()
        self.metrics = QuietMetrics()
        self.published: set[int] = set()
        self.log.on_append = self._see_commits
        self.log.on_checkpoint = self._see_relay_checkpoint
        self.read_db.on_commit = self._see_rows
        self.bus.on_publish = self._see_publication
        self.machines = [Machine(self, number, role) for number, role in enumerate(_ROLES) if self._has(role)]

    def _has(self, role: str) -> bool:
        return role != "relay" or self.sizes.uses_bus

    def parts(self, clock: MachineClock) -> Parts:
        ids = SeededIds(Random(self.random.getrandbits(32)))
        return Parts(self.log, self.read_db, self.bus, self.sizes, clock, ids, self.metrics)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        self.loop.call_later(seconds, action, context=SERVER_CONTEXT)

    # The run

    async def run(self) -> None:
        CURRENT.set(None)  # neither this nor the clients belong to a process
        for machine in self.machines:
            self.later(self.random.uniform(0.0, 0.5), machine.start)
        for fault in self.faults.events:
            self.later(fault.at, lambda fault=fault: self._inject(fault))
        clients = [asyncio.create_task(self._client(number)) for number in range(self.random.choice((1, 2, 4, 8)))]
        if self.random.random() < 0.15:
            clients.append(asyncio.create_task(self._newer_writer()))
        self.later(_FAULT_SECONDS, self._heal)
        done = asyncio.create_task(self._until_healed(clients))
        await asyncio.wait([done, self.failed], return_when=asyncio.FIRST_COMPLETED)
        if self.failed.done():
            self.failed.result()
        done.result()
        await self._check_at_the_end()

    async def _until_healed(self, clients: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*clients)
        await asyncio.sleep(max(0.0, _FAULT_SECONDS - self.loop.time()) + LONGEST_CALL_SECONDS)
        await self._write_once_more()
        try:
            async with asyncio.timeout(_HEALING_SECONDS):
                while not self._has_caught_up():
                    await asyncio.sleep(0.5)
        except TimeoutError:
            memory, relay = self.read_db.memory, self.log.memory.relay
            raise Violation(
                f"after {_HEALING_SECONDS:g} s without faults the log is at {self.log.tip}, the relay at "
                f"{relay.position}, the rows at {memory.checkpoints[memory.live.generation]} of {memory.live}"
            ) from None

    async def _write_once_more(self) -> None:
        """Every process accepts commands again, on every post."""
        for machine in self._machines("command"):
            for post in self.posts:
                operation = self._draw_operation(Random(0), (), [LikePost(post_id=post, username=None)])
                operation.expected_version = None
                await self._try(machine, operation)
                operation.returned = self.loop.time()
                told = operation.outcome != "unknown" and operation.code != "write-conflict"
                require(told, "{}, without faults and without others who write", operation)

    def _has_caught_up(self) -> bool:
        memory = self.read_db.memory
        checkpoints = memory.checkpoints[memory.live.generation]
        positions = [checkpoints[p].position if p in checkpoints else 0 for p in range(memory.live.partitions)]
        relay_done = not self.sizes.uses_bus or self.log.memory.relay.position >= self.log.tip
        return memory.live.ready and min(positions) >= self.log.tip and relay_done

    def _heal(self) -> None:
        self.faults.heal()
        for machine in self.machines:
            machine.start()
            assert machine.process is not None
            machine.process.fuse = None
            if machine.process.paused:
                machine.process.resume()

    def ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    # Faults

    def _inject(self, fault: Fault) -> None:
        self.faults.injected[fault.kind] += 1
        machine, random = self.machines[int(fault.target) % len(self.machines)], Random(fault.seed)
        happen: dict[str, Callable[[], None]] = {
            "failover": lambda: self.log.fail_over(random, fault.seconds),
            "killed": lambda: machine.kill(fault.seconds),
            "killed between two awaits": lambda: machine.kill_soon(random.randint(0, 40), fault.seconds),
            "paused": lambda: machine.pause(fault.seconds),
            "clock jumped": lambda: machine.clock.jump(random.choice((-3600, -5, -0.02, 0.02, 5, 3600))),
            "topic recreated": lambda: self.bus.memory.recreate(len(self.bus.memory.topic.partitions)),
            "topic repartitioned": lambda: self.bus.memory.recreate(random.randint(1, 4)),
            "messages expired": lambda: self.bus.expire(random),
            "rebalanced": self.bus.rebalance,
            "sessions cut": self.read_db.cut_all,
            "lease expired": self.log.expire_lease,
            "snapshots dropped": self.log.memory.snapshots.clear,
        }
        happen[fault.kind]()

    # Clients

    def _machines(self, role: str) -> list[Machine]:
        return [machine for machine in self.machines if machine.role == role]

    async def _request(self, machine: Machine, handle: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """Raises what the handler raises, and `ProcessLost`."""
        process = machine.process
        await asyncio.sleep(self.random.uniform(0.0001, 0.002))
        if process is None or not process.alive or process is not machine.process:
            raise ProcessLost
        answer: asyncio.Future[Any] = self.loop.create_future()
        task = process.run(handle(machine.service))

        def respond(task: asyncio.Task[Any]) -> None:
            if answer.done():
                return
            error = ProcessLost() if task.cancelled() else task.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

        task.add_done_callback(respond)
        process.at_death.append(lambda: None if answer.done() else answer.set_exception(ProcessLost()))
        if (
            self.loop.time() < _FAULT_SECONDS and self.random.random() < 0.03
        ):  # the client hangs up, and the server cancels what it does for it
            self.faults.injected["client hung up"] += 1
            self.loop.call_later(self.random.uniform(0.0, 0.05), task.cancel)
        async with asyncio.timeout(30.0):
            return await answer

    async def _client(self, number: int) -> None:
        random = Random(self.random.getrandbits(32))
        token = 0
        ended: list[Operation] = []
        for post in self.posts if number == 0 else ():
            if random.random() < 0.8:
                ended.append(self._draw_operation(random, (), [self.commands.create(post)]))
                await self._send(random, ended[-1], self._machines("command"))
        for _ in range(random.choice((3, 8, 14))):
            await asyncio.sleep(random.choice((0.0, 0.0, 0.01, 0.3, 1.5)))
            if random.random() < 0.35:
                await self._read(random, token if random.random() < 0.8 else None)
                continue
            keyed = [each for each in ended if each.key and each.outcome == "ok" and not each.reuses]
            if keyed and random.random() < 0.1:
                await self._send_again(random, random.choice(keyed))
                continue
            if random.random() < 0.15:  # several at once, which one process decides or stores together
                machines = [random.choice(self._machines("command"))]
                of_one_post = random.random() < 0.5
                drawn = self.commands.draw_several() if of_one_post else [self.commands.draw() for _ in range(6)]
                together = [self._draw_operation(random, ended, [each]) for each in drawn]
            else:
                machines, together = self._machines("command"), [self._draw_operation(random, ended)]
            await asyncio.gather(*(self._send(random, each, machines) for each in together))
            ended += together
            token = max([token, *(each.position for each in together if each.outcome == "ok")])

    def _draw_operation(
        self, random: Random, ended: Sequence[Operation], commands: Sequence[PostCommand] | None = None
    ) -> Operation:
        number = len(self.operations) + len(self.reads)
        keyed = [each for each in ended if each.key and each.outcome == "ok"]
        reuses = random.choice(keyed) if keyed and random.random() < 0.05 else None
        key = reuses.key if reuses else f"key-{number}" if random.random() < 0.65 else None
        known = max((each.version for each in ended if each.outcome == "ok"), default=1)
        operation = Operation(
            number=number,
            commands=commands or self._draw_commands(random),
            correlation_id=f"operation-{number}",
            key=key,
            expected_version=random.choice((known, known + 1)) if random.random() < 0.15 else None,
            invoked=self.loop.time(),
            reuses=reuses,
        )
        self.operations.append(operation)
        return operation

    def _draw_commands(self, random: Random) -> Sequence[PostCommand]:
        return self.commands.draw_several() if random.random() < 0.2 else [self.commands.draw()]

    async def _send(self, random: Random, operation: Operation, machines: Sequence[Machine]) -> None:
        """Until the outcome is known; without a key only once. Now and then twice at the same time."""
        for attempt in range(_RETRIES if operation.key else 1):
            if attempt:
                await asyncio.sleep(random.choice((0.0, 0.05, 1.0, 4.0)))
            if operation.key and random.random() < 0.25:
                twins = [copy(operation) for _ in range(2)]
                used = [random.choice(machines) for _ in twins]
                await asyncio.gather(*map(self._try, used, twins))
                self._join(operation, twins, is_one_process=used[0] is used[1])
            else:
                await self._try(random.choice(machines), operation)
            if operation.outcome != "unknown":
                break
            operation.in_doubt = True
        operation.returned = self.loop.time()

    def _join(self, operation: Operation, twins: Sequence[Operation], *, is_one_process: bool) -> None:
        """Both answers are the same, with one exception: of two processes one may find the request in effect, while the
        other one appends its commit (docs/adr/0015). When one is a refusal, the other one may have been decided before
        or after it, so it says nothing of one whose outcome is unknown.
        """
        told = sorted((twin for twin in twins if twin.outcome == "ok"), key=lambda twin: -(twin.version or 0))
        if len({(twin.version, twin.position) for twin in told}) > 1:
            commit = now_of(self.log.store.find_commit(commit_id_of(operation.key or "")))
            is_appended = commit is not None and (commit.last_version, commit.position) == (
                told[0].version,
                told[0].position,
            )
            require(is_appended and not is_one_process, "answered {} and {}", *twins)
        operation.in_doubt |= any(twin.outcome == "unknown" for twin in twins)
        told = told or sorted(twins, key=lambda twin: twin.outcome != "unknown")
        operation.refused_twins = [twin.code for twin in twins if twin.outcome == "fail"]
        for twin in told[:1]:
            operation.outcome, operation.code, operation.comment_id = twin.outcome, twin.code, twin.comment_id
            operation.version, operation.position = twin.version, twin.position

    async def _try(self, machine: Machine, operation: Operation) -> None:
        digest = "another request" if operation.reuses else f"digest of {operation.key}"
        context = context_of(operation.correlation_id, operation.key, digest, operation.expected_version)
        commands = operation.commands

        def handle(service: PostCommands) -> Coroutine[Any, Any, CommandResult]:
            if len(commands) == 1:
                return service.handle(commands[0], context)
            commit_id = commit_id_of(operation.key) if operation.key else self._several_ids.new()
            return service.commit(operation.post_id, commands, context, commit_id)

        try:
            result = await self._request(machine, handle)
        except (ProcessLost, TimeoutError, Unavailable) as error:
            require(not isinstance(error, LogChanged), "{}: {}", operation, error)
            operation.code = f"{type(error).__name__} {error}"
        except VersionMismatch as error:
            operation.outcome, operation.code, operation.version = "fail", error.code, error.current_version
        except PostlogError as error:
            operation.outcome, operation.code = "fail", error.code
        else:
            operation.outcome, operation.version, operation.position = "ok", result.version, result.position
            operation.comment_id = result.comment_id

    async def _send_again(self, random: Random, operation: Operation) -> None:
        """Delivered once more, long after it was answered: the answer is the same, or that of an earlier attempt."""
        again = copy(operation)
        again.outcome, again.code = "unknown", ""
        await self._try(random.choice(self._machines("command")), again)
        same = (again.version, again.position) == (operation.version, operation.position)
        same |= operation.in_doubt and again.version > operation.version
        require(again.outcome == "unknown" or (again.outcome == "ok" and same), "{}, and again {}", operation, again)

    async def _read(self, random: Random, token: int | None) -> None:
        machine = random.choice(self._machines("query"))
        if random.random() < 0.2:
            await self._list(machine, token)
            return
        number = len(self.operations) + len(self.reads)
        read = Read(number, random.choice(self.posts), token, self.loop.time())
        self.reads.append(read)
        query = GetPost(post_id=read.post_id, min_position=token)
        try:
            found = await self._request(machine, lambda service: service.get_post(query))
        except PostNotFound:
            read.outcome = "absent"
        except (PostParked, NotYetVisible, PositionBeyondLog) as error:
            read.outcome = error.code
        except (ProcessLost, TimeoutError, Unavailable):
            read.outcome = "unknown"
        else:
            read.outcome, read.post, read.comments = "ok", found.post, found.comments
        read.returned = self.loop.time()

    async def _list(self, machine: Machine, token: int | None) -> None:
        query = ListPosts(wanted=PostFilter(), limit=10, min_position=token)
        try:
            page = await self._request(machine, lambda service: service.list_posts(query))
        except (ProcessLost, TimeoutError, PostlogError) as error:
            require(not isinstance(error, PositionBeyondLog), "list from {}: {}", token, error)
            return
        shown = {post.post_id for post in page.posts}
        require(len(shown) == len(page.posts), "a post is twice in {}", page)
        for due, stream in self.history.streams.items():
            version = stream.at_position(token or 0)
            after = [state for _, state in stream.between(version, stream.versions[-1])]
            if stream.stuck_at is None and all(state.status == "live" for state in after):
                require(due in shown, "{} is missing from the list at {}", due, token)

    async def _newer_writer(self) -> None:
        """Another program writes an event that this version can't read, or one that does not fit."""
        await asyncio.sleep(self.random.uniform(1.0, _FAULT_SECONDS))
        store = SimulatedEventStore(self.log, Seen())
        target, correlation_id = self.random.choice(self.posts), "written by a newer version"
        stream = self.history.stream(target)
        fits_not = stream.states[-1].status == "live" and stream.states[-1].likes == 0
        event = StoredEvent("PostUnliked", 1, {"username": "Zoe"}) if fits_not else StoredEvent("PostPinned", 1, {})
        self.foreign.add(correlation_id)
        await store.append(
            [
                ProposedCommit(
                    stream_id=target,
                    version=stream.versions[-1] + 1,
                    commit_id=str(UUID(int=self.random.getrandbits(128))),
                    recorded_at=MachineClock(self.loop.time).now(),
                    metadata={"correlationId": correlation_id},
                    events=(event,),
                )
            ]
        )

    # What is seen, step by step

    def _guarded(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Violation as violation:
            self.fail(violation)

    def _see_commits(self) -> None:
        new = self.log.memory.page(len(self.history.commits), 10_000)
        self._guarded(lambda: self.history.add(new, self.loop.time()))

    def _see_publication(self, publication: Publication) -> None:
        self.published |= {each.commit.position for each in publication.entries if isinstance(each, CommitEntry)}

    def _see_relay_checkpoint(self, position: int) -> None:
        missing = next((each for each in range(1, position + 1) if each not in self.published), None)
        self._guarded(
            lambda: require(missing is None, "the relay is at {}, and {} was not published", position, missing)
        )

    def _see_rows(self) -> None:
        self._guarded(self._check_rows)

    def _check_rows(self) -> None:
        memory = self.read_db.memory
        live, rows = memory.live, memory.live_rows
        checkpoints = memory.checkpoints[live.generation]
        positions = [checkpoints[p].position if p in checkpoints else 0 for p in range(live.partitions)]
        require(min(positions) >= self.lowest, "the rows went back from {} to {} in {}", self.lowest, positions, live)
        self.lowest = min(positions)
        for found, row in rows.posts.items():
            check_row(self.history, row, rows.comments.get(found, {}))
        check_checkpoints(self.history, live, checkpoints, rows.posts, memory.live_parked)
        check_parked(self.history, memory.live_parked)

    def check_audit(self, differences: Sequence[object]) -> None:
        self._guarded(lambda: require(not differences, "an audit found {}, but the rows are right", differences))

    # At the end

    async def _check_at_the_end(self) -> None:
        self._check_rows()
        memory = self.read_db.memory
        for found, stream in self.history.streams.items():
            index = stream.stuck_at
            due = stream.versions[-1 if index is None else index - 1]
            row = memory.live_rows.posts.get(found)
            require((row.version if row else 0) == due, "{} is at {}, the log at {}", found, row, due)
            require((found in memory.live_parked) == (index is not None), "{} is parked, or is not", found)
        check_commands(self.history, self.operations, self.foreign)
        check_reads(self.history, self.reads)
        require(not self.metrics.differing, "the continuous audit found a difference, but the rows are right")
        if self.random.random() < 0.3:
            await self._audit_finds_what_is_wrong()

    async def _audit_finds_what_is_wrong(self) -> None:
        parts, memory = self.parts(MachineClock(self.loop.time)), self.read_db.memory
        rows = memory.live_rows
        sound = [found for found in rows.posts if found not in memory.live_parked]
        if not sound:
            return
        for machine in self.machines:
            if machine.process is not None:
                machine.process.kill()
        target = self.random.choice(sorted(sound))
        before, comments = rows.posts[target], dict(rows.comments.get(target, {}))
        self._damage(rows, target)
        report = await parts.audit().run()
        require({each.post_id for each in report.differences} == {target}, "the audit found {}", report.differences)
        self.read_db.on_commit = lambda: None
        await parts.repair().repair(target)
        left = rows.posts[target], rows.comments.get(target, {})
        require(left == (before, comments), "the repair left {}", left)
        expected = (dict(rows.posts), dict(memory.live_parked).keys())
        await _drained(parts.rebuild().run(restart=True))
        rebuilt = (dict(memory.live_rows.posts), dict(memory.live_parked).keys())
        require(rebuilt == expected, "a rebuild leads to {}, the projector to {}", rebuilt, expected)
        self._check_rows()

    def _damage(self, rows: SlotRows, target: PostId) -> None:
        comments = rows.comments[target]
        kinds = ("likes", "lost", "surplus comment", "lost comment", "changed comment")
        match self.random.choice(kinds if comments else kinds[:3]):
            case "likes":
                rows.posts[target] = rows.posts[target]._replace(likes=rows.posts[target].likes + 1)
            case "lost":
                del rows.posts[target], rows.comments[target]
            case "surplus comment":
                found = CommentId(str(UUID(int=1)))
                comments[found] = CommentRow(target, found, "Zoe", "text", NOON, edited=False)
            case "lost comment":
                comments.popitem()
            case "changed comment":
                found, comment = comments.popitem()
                comments[found] = comment._replace(edited=not comment.edited)


async def _drained(builds: AsyncGenerator[Build], until: int = 1_000_000) -> None:
    """To its end, or until so many batches are stored."""
    async with aclosing(builds) as running:
        async for _ in running:
            until -= 1
            if not until:
                return


class _Bugs(logging.Handler):
    """Errors that the application logs as bugs of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


def simulate(seed: int, faults: Sequence[Fault] | None = None, *, verbose: bool = False) -> Result:
    """One run; with `faults` in place of those of the seed. The same arguments lead to the same run."""
    loop = VirtualLoop(_MAX_STEPS)
    bugs, root, disabled = _Bugs(), logging.getLogger(), logging.root.manager.disable
    root.addHandler(bugs)
    if not verbose:
        logging.disable(logging.WARNING)
    world = World(seed, loop, faults)
    violation: str | None = None
    try:
        loop.run_until_complete(world.run())
        require(not bugs.found, "{}", "\n".join(bugs.found))
    except (Violation, PostlogError, TooLong, NothingLeft) as error:
        violation = f"{type(error).__name__}: {error}"
    except Exception as error:
        violation = f"{type(error).__name__}: {error}"
        if verbose:
            logger.exception("the run failed")
    finally:
        root.removeHandler(bugs)
        seconds, steps = loop.time(), loop.steps
        logging.disable(logging.CRITICAL)  # what is buried complains
        loop.bury()
        logging.disable(disabled)
    return Result(
        seed=seed,
        violation=violation,
        faults=world.faults.faults,
        injected=world.faults.injected,
        operations=world.operations,
        reads=world.reads,
        commits=len(world.history.commits),
        seconds=seconds,
        steps=steps,
        digest=_digest(world),
    )


def _digest(world: World) -> str:
    lines = [str(each) for each in (*world.operations, *world.reads)]
    lines += [f"{each.position} {each.commit_id} {each.recorded_at}" for each in world.history.commits]
    lines.append(f"{world.loop.time()} {world.loop.steps}")
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def shrink(seed: int, result: Result) -> Result:
    """A run with as few faults of these as still break a promise, found by leaving some out."""
    size = max(1, len(result.faults) // 2)
    while True:
        for begin in range(0, len(result.faults), size):
            fewer = [*result.faults[:begin], *result.faults[begin + size :]]
            tried = simulate(seed, fewer)
            if tried.violation is not None:
                result = tried
                break
        else:
            if size == 1:
                return result
            size = max(1, size // 2)
