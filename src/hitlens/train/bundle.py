"""Several models trained at once: in lanes side by side, and within a lane in one forward and backward pass.

Every model is trained by an engine of its own, in a thread of its own, with its own optimiser, schedule,
random numbers and checkpoints; nothing of it knows of the others. Where models share a lane they meet before
each pass; one thread computes it for all of them, see `hitlens.models.stacked`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from hitlens.errors import ConfigError
from hitlens.models.stacked import join_images, shape_of, stack_networks
from hitlens.train.module import Seat
from hitlens.train.watch import Interrupted

R = TypeVar("R")

#: How often the waiting main thread looks up, so that Ctrl-C reaches it; in seconds.
_LOOK_UP = 0.2


@dataclass(frozen=True)
class Way:
    """How several models are trained at once.

    Attributes:
        lanes: models or stacks of models side by side, each lane with its share of the threads.
        width: models of a lane that are computed in one pass.
    """

    lanes: int = 1
    width: int = 1

    @property
    def n_models(self) -> int:
        """Models that are trained at a time."""
        return self.lanes * self.width

    @property
    def name(self) -> str:
        """The way in words.

        Examples:
            >>> Way().name, Way(2, 1).name, Way(1, 4).name, Way(2, 4).name
            ('one by one', '2 side by side', '4 stacked', '2 side by side, each 4 stacked')
        """
        beside = f"{self.lanes} side by side"
        if self.width == 1:
            return beside if self.lanes > 1 else "one by one"
        return f"{beside}, each {self.width} stacked" if self.lanes > 1 else f"{self.width} stacked"


ONE_BY_ONE = Way()


@dataclass(eq=False)
class _Request:
    """What a model waits for: the outputs of its network, or the gradients of its weights."""

    seat: _Member
    network: nn.Module
    images: dict[str, torch.Tensor]
    autocast: torch.dtype | None
    result: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    error: BaseException | None = None
    done: bool = False


@dataclass(eq=False)
class _Pass:
    """A forward pass that awaits its backward pass.

    Attributes:
        outputs: raw, shape (event, network, n_outputs).
        answers: what each model was given of them, without history.
    """

    outputs: torch.Tensor
    answers: list[torch.Tensor]

    def finish(self) -> None:
        """Send the gradients of the outputs back to the weights; a model that has left has none."""
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in self.answers]
        self.outputs.backward(torch.stack(grads, dim=1))  # type: ignore[no-untyped-call]


class _Single:
    """The seat of a model that computes its passes itself."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def __deepcopy__(self, memo: dict[int, Any]) -> _Single:
        return self

    def forward(self, network: nn.Module, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs; see `Seat`."""
        _check(self._stopping)
        outputs: torch.Tensor = network(images)
        return outputs

    def backward(self) -> None:
        """Nothing is left to do."""

    def leave(self) -> None:
        """Nobody waits."""


class _Member:
    """The seat of a model that meets others for each pass."""

    def __init__(self, lane: _Lane, number: int) -> None:
        self._lane = lane
        #: Of its model: passes take models in this order, not in that in which their threads arrive.
        self.number = number
        #: The pass whose gradients this model still owes.
        self.open: _Pass | None = None
        self._shape: Hashable = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Member:
        return self

    def shape(self, network: nn.Module) -> Hashable:
        """Return what others must share to be computed together with this model."""
        if self._shape is None:
            try:
                self._shape = shape_of(network)
            except ConfigError:
                self._shape = id(network)
        return self._shape

    def forward(self, network: nn.Module, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs; see `Seat`."""
        kind = next(iter(images.values())).device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        return self._lane.ask(_Request(self, network, images, autocast))

    def backward(self) -> None:
        """Wait for the gradients; see `Seat`."""
        self._lane.ask(_Request(self, nn.Identity(), {}, None))

    def leave(self) -> None:
        """Let the others go on without this model; see `Seat`."""
        self._lane.leave(self)


class _Lane:
    """Models that take their passes together.

    Args:
        n_threads: numerical threads of a pass; as many models work at a time between the passes.
        stopping: set when all shall end.
        n_slots: threads in which models are trained, one after the other in each.
    """

    def __init__(self, n_threads: int, stopping: threading.Event, n_slots: int) -> None:
        self.n_threads = n_threads
        self.stopping = stopping
        self._meeting = threading.Condition()
        self._at_work = threading.BoundedSemaphore(n_threads)
        self._members: set[_Member] = set()
        self._requests: list[_Request] = []
        self._n_slots = n_slots
        self._stacks: dict[tuple[int, ...], tuple[Sequence[nn.Module], nn.Module]] = {}

    def join(self, number: int) -> _Member:
        """Return a seat for the model of this number; passes wait for it from now on."""
        seat = _Member(self, number)
        with self._meeting:
            self._members.add(seat)
        return seat

    def leave(self, seat: _Member) -> None:
        """Let the others go on without this one."""
        with self._meeting:
            self._members.discard(seat)
            self._meeting.notify_all()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep one of the lane's threads busy."""
        with self._at_work:
            yield

    def ask(self, request: _Request) -> torch.Tensor:
        """Wait until what is asked for is computed; another model may work meanwhile."""
        _check(self.stopping)
        self._at_work.release()
        try:
            with self._meeting:
                self._requests.append(request)
                self._meeting.notify_all()
                self._meeting.wait_for(lambda: request.done)
        finally:
            self._at_work.acquire()
        if request.error is not None:
            raise request.error
        return request.result

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count this thread out at the end: no model of it will ask any more."""
        try:
            yield
        finally:
            with self._meeting:
                self._n_slots -= 1
                self._meeting.notify_all()

    def serve(self) -> None:
        """Compute passes whenever all models wait for one, until all slots are closed."""
        torch.set_num_threads(self.n_threads)
        while True:
            with self._meeting:
                self._meeting.wait_for(self._is_due)
                if not self._requests:
                    return
                todo = self._next()
            self._answer(todo)

    def _is_due(self) -> bool:
        if not self._requests:
            return self._n_slots == 0
        return len(self._requests) >= len(self._members)

    def _next(self) -> list[_Request]:
        """Take backward passes before forward passes, so that all models come to the same point."""
        backward = [one for one in self._requests if not one.images]
        todo = backward or self._requests
        self._requests = [one for one in self._requests if one not in todo]
        return sorted(todo, key=lambda request: request.seat.number)

    def _answer(self, todo: list[_Request]) -> None:
        try:
            if todo[0].images:
                self._forward(todo)
            else:
                for one in {id(request.seat.open): request.seat.open for request in todo}.values():
                    if one is not None:
                        one.finish()
                for request in todo:
                    request.seat.open = None
        except BaseException as error:  # it belongs to the models, whose threads end with it
            for request in todo:
                request.error = error
        with self._meeting:
            for request in todo:
                request.done = True
            self._meeting.notify_all()

    def _forward(self, todo: list[_Request]) -> None:
        alike: dict[Hashable, list[_Request]] = {}
        for request in todo:
            alike.setdefault(_pass_key(request), []).append(request)
        for requests in alike.values():
            images, autocast = requests[0].images, requests[0].autocast
            network = requests[0].network
            if len(requests) > 1:
                network = self._stack([one.network for one in requests])
                images = join_images([one.images for one in requests])
            kind = next(iter(images.values())).device.type
            with torch.autocast(kind, dtype=autocast, enabled=autocast is not None):
                outputs = network(images)
            if len(requests) == 1:
                outputs = outputs[:, None]
            answers = [one.detach().requires_grad_() for one in outputs.unbind(dim=1)]
            done = _Pass(outputs, answers)
            for request, answer in zip(requests, answers, strict=True):
                request.result, request.seat.open = answer, done

    def _stack(self, networks: Sequence[nn.Module]) -> nn.Module:
        key = tuple(map(id, networks))
        if key not in self._stacks:
            self._stacks.clear()  # members change seldom, and an old set does not come back
            self._stacks[key] = (networks, stack_networks(networks))
        return self._stacks[key][1]


def _pass_key(request: _Request) -> Hashable:
    """What requests must share to be computed in one pass."""
    images = tuple((view, tuple(one.shape)) for view, one in request.images.items())
    return (request.seat.shape(request.network), images, request.autocast)


def _check(stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Interrupted


@dataclass
class _Work(Generic[R]):
    """Jobs that wait for a seat, and what became of those that had one."""

    waiting: list[tuple[int, Callable[[Seat], R]]]
    results: dict[int, R | Exception] = field(default_factory=dict)
    fatal: list[BaseException] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> tuple[int, Callable[[Seat], R]] | None:
        """Return the next job and its number, None when there is none or all shall end."""
        with self.lock:
            return self.waiting.pop(0) if self.waiting and not self.stopping.is_set() else None

    def do(self, number: int, job: Callable[[Seat], R], seat: Seat) -> None:
        """Do a job; an error is its result, unless it is none that a job may have."""
        try:
            self.results[number] = job(seat)
        except Exception as error:
            self.results[number] = error
        except BaseException as error:
            self.fatal.append(error)
            self.stopping.set()


def run_at_once(
    jobs: Sequence[Callable[[Seat], R]], way: Way, *, n_threads: int | None = None
) -> list[R | Exception]:
    """Do jobs that train one model each, several at a time, and return their results in order.

    A model that ends makes room for the next one. Ctrl-C ends all jobs between two steps:
    `hitlens.train.watch.Interrupted` is raised in those under way, and is the result of those not begun.

    Args:
        jobs: functions of the seat that the module of a training is given.
        way: how many at a time, and which share their passes.
        n_threads: numerical threads of all lanes together; torch's number where left out.

    Returns:
        For each job what it returned, or the exception it raised.
    """
    n_threads = n_threads or torch.get_num_threads()
    work: _Work[R] = _Work(list(enumerate(jobs)))
    lanes = min(way.lanes, len(jobs))
    width = min(way.width, -(-len(jobs) // lanes))
    share = max(1, n_threads // lanes)
    run = _run_single if width == 1 else _run_lane
    threads = [
        threading.Thread(target=run, args=(work, share, width), name=f"lane {number}", daemon=True)
        for number in range(lanes)
    ]
    before = torch.get_num_threads()
    for thread in threads:
        thread.start()
    try:
        _wait(threads, work.stopping)
    finally:
        torch.set_num_threads(before)  # also what threads of later trainings begin with
    if work.fatal:
        raise work.fatal[0]
    return [work.results.get(number, Interrupted()) for number in range(len(jobs))]


def _wait(threads: list[threading.Thread], stopping: threading.Event) -> None:
    """Wait for all threads; Ctrl-C, which reaches the main thread only, tells them to end."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join(_LOOK_UP)
            except KeyboardInterrupt:
                stopping.set()


def _run_single(work: _Work[Any], n_threads: int, width: int) -> None:
    torch.set_num_threads(n_threads)
    while taken := work.take():
        work.do(*taken, _Single(work.stopping))


def _run_lane(work: _Work[Any], n_threads: int, width: int) -> None:
    first = [one for one in (work.take() for _ in range(width)) if one is not None]
    lane = _Lane(n_threads, work.stopping, len(first))
    seats = [lane.join(number) for number, _ in first]  # before any begins: they shall begin together
    slots = [
        threading.Thread(target=_run_slot, args=(work, lane, taken, seat), daemon=True)
        for taken, seat in zip(first, seats, strict=True)
    ]
    for slot in slots:
        slot.start()
    lane.serve()
    for slot in slots:
        slot.join()


def _run_slot(
    work: _Work[Any], lane: _Lane, taken: tuple[int, Callable[[Seat], Any]] | None, seat: _Member
) -> None:
    torch.set_num_threads(1)
    with lane.slot():
        while taken is not None:
            with lane.at_work():
                work.do(*taken, seat)
            lane.leave(seat)
            taken = work.take()
            if taken is not None:
                seat = lane.join(taken[0])
