"""Engines that go through the parts of a run: processes of this machine, or a Ray cluster.

Both hand part numbers to processes that each hold one `Screener`, and yield what is done. A part
that is done twice, because a process or a machine died, has its rows once.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from nanoray.archives.screener import PartDone, Screener, Task
from nanoray.errors import NanoRayError
from nanoray.reading.pool import processors

RESTARTS: Final = 3
"""How often in a row the processes may die without finishing a part."""
MOST_RAY_TASKS: Final = 5000
"""More parts than this are handed to Ray several at a time: it keeps a record of every task."""
CONNECTING: Final = 10.0
"""Seconds in which a Ray cluster must answer."""


def run_local(
    task: Task, numbers: Sequence[int], *, workers: int | None = None
) -> Iterator[PartDone]:
    """Screen parts with a pool of processes, one per core by default; yields them as they finish.

    A process that dies, as when memory runs out, is replaced and its part done again.

    Raises:
        NanoRayError: the source cannot be reached any more, or processes keep dying.
    """
    workers = min(workers or processors(), max(1, len(numbers)))
    waiting = list(reversed(numbers))
    failures = 0
    while waiting:
        try:
            for done in _pool(task, waiting, workers):
                failures = 0
                yield done
        except BrokenProcessPool:
            failures += 1
            if failures > RESTARTS:
                raise NanoRayError(
                    "the screening processes keep ending; is there enough memory for "
                    f"{workers} of them? (--workers)"
                ) from None


def _pool(task: Task, waiting: list[int], workers: int) -> Iterator[PartDone]:
    """One life of the pool: takes numbers off the end of `waiting`, puts back what is undone."""
    # A fork would copy this process's threads' locks, and ONNX Runtime's and Arrow's with them.
    context = multiprocessing.get_context("spawn")
    # The processes end when this pipe does, and so also when this process is killed. An event
    # would wait for those that were killed while they waited for it.
    end, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _start, (task, end))
    running: dict[Future[PartDone], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                number = waiting.pop()
                try:
                    running[pool.submit(_screen, number)] = number
                except BrokenProcessPool:
                    waiting.append(number)
                    raise
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done = future.result()
                del running[future]
                yield done
    except BaseException:
        # Those at work stop now: what they were at will be done again.
        held.close()
        raise
    finally:
        waiting.extend(sorted(running.values(), reverse=True))
        pool.shutdown(cancel_futures=True)
        for connection in (end, held):
            connection.close()


_screener: Screener | None = None


def _start(task: Task, end: Connection) -> None:
    """Prepare a process of the pool."""
    global _screener  # noqa: PLW0603
    # The user's interrupt goes to the whole terminal; the parent decides what it means for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _screener = Screener(task)
    Finalize(None, _screener.close, exitpriority=10)

    def leave_with_parent() -> None:
        with suppress(EOFError, OSError):
            end.recv()
        if _screener is not None:
            shutil.rmtree(_screener.temporary_folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _screen(number: int) -> PartDone:
    assert _screener is not None
    return _screener.screen(number)


class _RayScreener:
    """A `Screener` in an actor of Ray Data's pool.

    Its errors are values: Ray Data would raise others in their place, without what was said.
    """

    def __init__(self, task: Task) -> None:
        self._screener = Screener(task)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        number, problem = int(batch["number"][0]), ""
        try:
            done = self._screener.screen(number)
        except NanoRayError as error:
            done, problem = PartDone(number, 0, 0, 0.0), str(error)
        values = asdict(done) | {"problem": problem}
        return {name: np.array([value]) for name, value in values.items()}


def run_ray(
    task: Task,
    numbers: Sequence[int],
    *,
    workers: int | None = None,
    address: str | None = None,
    announce: Callable[[str], object] = lambda _: None,
) -> Iterator[PartDone]:
    """Screen parts on a Ray cluster with Ray Data; yields them as they finish.

    Only part numbers travel through Ray's object store; the actors read the listing and the files
    and write the rows themselves, so that memory stays flat and all machines must reach the
    source and the run's folder under the same names. Actors and parts of a machine that fails go
    to others.

    Args:
        task: what the actors need to know.
        numbers: the parts.
        workers: most actors, each with one core; by default as many as the cluster has cores.
        address: of the cluster; "auto", "host:port" or "ray://host:port"; by default a new
            Ray on this machine.
        announce: is called with the URL of Ray's dashboard, if there is one.

    Raises:
        NanoRayError: no cluster at the address, or the source cannot be reached any more.
    """
    with _ray(address) as (ray, dashboard):
        if dashboard:
            announce(f"http://{dashboard}")
        if ray.util.client.ray.is_connected():
            yield from _from_afar(task, numbers, workers)
        else:
            yield from _ray_data(task, numbers, workers)


@contextmanager
def _ray(address: str | None) -> Iterator[tuple[Any, str | None]]:
    """Provide the module `ray`, connected, and the dashboard's host and port."""
    # Ray reports its use to its makers unless told otherwise, and lets its workers give way to
    # whatever else the machine does: beside a busy process they would hardly come to run.
    # Its core writes to standard error what would tear the progress bar and is of no use here.
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    if address not in (None, "local"):
        # Of a cluster that has gone: 20 attempts of 40 seconds otherwise.
        settings["RAY_NUM_REDIS_GET_RETRIES"] = "2"
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield ray, None
        return
    if address not in (None, "local", "auto"):
        _check_listening(address)
    try:
        context = ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise NanoRayError(
            f"no Ray cluster at {address}: {error} (RAY_AUTH_MODE=token if it wants a token)"
        ) from None
    try:
        yield ray, context.dashboard_url
    finally:
        ray.shutdown()


def _check_listening(address: str) -> None:
    """Ray itself would try for many minutes.

    Raises:
        NanoRayError: nothing listens at the address.
    """
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        port = place.port
        if not place.hostname or port is None:
            raise ValueError
        socket.create_connection((place.hostname, port), timeout=CONNECTING).close()
    except ValueError:
        raise NanoRayError(f"{address}: not auto, host:port or ray://host:port") from None
    except OSError as error:
        raise NanoRayError(f"no Ray cluster at {address}: {error.strerror or error}") from None


def _ray_data(task: Task, numbers: Sequence[int], workers: int | None) -> Iterator[PartDone]:
    """Screen parts from a process of the cluster."""
    import ray
    import ray.data

    # Its own bar would tear the command's; the dashboard has one.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    blocks = max(1, min(len(numbers), MOST_RAY_TASKS))
    parts = ray.data.from_items(
        [{"number": number} for number in numbers], override_num_blocks=blocks
    )
    done = parts.map_batches(
        _RayScreener,
        fn_constructor_args=(task,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=max(1, min(workers or cores, blocks)),
            max_tasks_in_flight_per_actor=2,
        ),
        num_cpus=1,
    )
    for values in done.iter_rows():
        if problem := values.pop("problem"):
            raise NanoRayError(problem)
        yield PartDone(**values)


class _Remote:
    """Ray Data does not work through Ray's client (ray://): this goes to the cluster and does."""

    def __init__(self, task: Task, numbers: Sequence[int], workers: int | None) -> None:
        self._parts = _ray_data(task, numbers, workers)

    def next(self) -> PartDone | None:
        return next(self._parts, None)


def _from_afar(task: Task, numbers: Sequence[int], workers: int | None) -> Iterator[PartDone]:
    """Screen parts from a process outside the cluster."""
    import ray

    # On the head: its end is that of the cluster anyway, while others may come and go.
    head = {"node:__internal_head__": 0.001}
    actor: Any = ray.remote(num_cpus=0, resources=head)(_Remote)
    remote = actor.remote(task, list(numbers), workers)
    try:
        while (part := ray.get(remote.next.remote())) is not None:
            yield part
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, NanoRayError):
            raise error.cause from None
        raise
