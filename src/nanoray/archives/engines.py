"""Engines that process the parts of a run: processes of this machine, or a Ray cluster.

Both send part numbers to processes with one `Screener` each, and yield the finished parts. A part
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
"""Largest number of consecutive deaths of the processes without a finished part."""
MOST_RAY_TASKS: Final = 5000
"""Above this number, parts are sent to Ray in groups, since Ray stores a record of every task."""
CONNECTING: Final = 10.0
"""Seconds in which a Ray cluster must answer."""


def run_local(
    task: Task, numbers: Sequence[int], *, workers: int | None = None
) -> Iterator[PartDone]:
    """Screen parts with a pool of processes, one per core by default; yield them as they finish.

    A process that dies, for example for lack of memory, is replaced and its part repeated.

    Raises:
        NanoRayError: the source is no longer reachable, or processes keep dying.
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
    """Run one pool: take numbers from the end of `waiting`, and return unfinished ones to it."""
    # A fork would copy this process's threads' locks, and ONNX Runtime's and Arrow's with them.
    context = multiprocessing.get_context("spawn")
    # The processes end with this pipe, also when this process is killed. An event would wait for
    # processes that were killed while they waited for it.
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
        # Stop working processes now: their parts will be repeated.
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
    # The user's interrupt reaches all processes of the terminal; the parent handles it.
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

    It returns errors as values, since Ray Data would raise other errors without the message.
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
    """Screen parts on a Ray cluster with Ray Data; yield them as they finish.

    Only part numbers pass through Ray's object store, so its memory does not grow. The actors read
    the listing and the files and write the rows. All machines must reach the source and the run's
    folder under the same names. If a machine fails, others take over its parts.

    Args:
        task: settings for the actors.
        numbers: the parts.
        workers: largest number of actors, one core each; the default is the cluster's cores.
        address: of the cluster; "auto", "host:port" or "ray://host:port"; by default a new Ray on
            this machine.
        announce: called with the URL of Ray's dashboard, if it runs.

    Raises:
        NanoRayError: no cluster at the address, or the source is no longer reachable.
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
    # By default Ray reports its use to its makers, and gives its workers a low priority: beside a
    # busy process they would hardly run. Its core writes messages to standard error that would
    # disturb the progress bar.
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    if address not in (None, "local"):
        # For a vanished cluster; the default is 20 attempts of 40 seconds.
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
            f"no Ray cluster at {address}: {error} (RAY_AUTH_MODE=token if it requires a token)"
        ) from None
    try:
        yield ray, context.dashboard_url
    finally:
        ray.shutdown()


def _check_listening(address: str) -> None:
    """Check that an address accepts connections; Ray would try for many minutes.

    Raises:
        NanoRayError: no program listens at the address.
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

    # Ray's progress bar would disturb the command's; the dashboard has one.
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
    """Runs on the cluster, since Ray Data does not work through Ray's client (ray://)."""

    def __init__(self, task: Task, numbers: Sequence[int], workers: int | None) -> None:
        self._parts = _ray_data(task, numbers, workers)

    def next(self) -> PartDone | None:
        return next(self._parts, None)


def _from_afar(task: Task, numbers: Sequence[int], workers: int | None) -> Iterator[PartDone]:
    """Screen parts from a process outside the cluster."""
    import ray

    # On the head, since the cluster ends with it; other machines may leave.
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
