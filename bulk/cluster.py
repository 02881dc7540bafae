"""The one module that knows Ray: units of files are its tasks, and those whose process dies are done again."""

import logging
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at import: nothing is told to Ray's makers

import ray

from bulk.errors import EXIT_CLUSTER, BulkError
from bulk.output import WORKER_LOST, Output
from bulk.stores import MediaName
from bulk.worker import Task, score_and_write
from deepfake_client.batch.scoring import FileReport

_UNIT_DEATHS, _FILE_DEATHS = 3, 2
_DEATHS = (
    ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError, ray.exceptions.ObjectLostError,
)  # fmt: skip
_FAILURES = (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, ImportError)

Unit = tuple[str, ...]  # names of files that are scored and written together


def score_units(units: Sequence[Unit], task: Task, workers: int, cpus: float, address: str | None) -> Iterator[Unit]:
    """Has the units scored and written, and gives each when it is done, in any order.

    Each file of a unit whose process has died three times becomes a unit of its own. A file whose process has then died
    twice is set aside.

    Args:
        units: What to do.
        task: How.
        workers: Units in progress at once; those for which the cluster has no room wait.
        cpus: Cores that each reserves.
        address: Of the cluster, as for `ray.init`; one that this call starts ends with it.

    Raises:
        BulkError: What ended a unit ends the run; or Ray cannot be reached, or failed.
    """
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        yield from _score_units(units, task, workers, cpus)
    except _FAILURES as error:
        last_line = str(error).strip().splitlines()[-1:]  # it is a traceback, at times
        raise BulkError(f"Ray failed: {type(error).__name__}: {''.join(last_line)}", EXIT_CLUSTER) from error
    finally:
        ray.shutdown()


def _score_units(units: Sequence[Unit], task: Task, workers: int, cpus: float) -> Iterator[Unit]:
    do = ray.remote(num_cpus=cpus, max_retries=0)(score_and_write)
    waiting, deaths = deque(units), Counter[Unit]()
    running: dict[ray.ObjectRef[None], Unit] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            unit = waiting.popleft()
            running[do.remote(task, unit)] = unit
        (done,), _ = ray.wait(list(running))
        unit = running.pop(done)
        try:
            ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, BulkError) else error from None
        except _DEATHS:
            deaths[unit] += 1
            if deaths[unit] < (_UNIT_DEATHS if len(unit) > 1 else _FILE_DEATHS):
                waiting.append(unit)
                continue
            if len(unit) > 1:
                waiting.extend((name,) for name in unit)
                continue
            message = f"{unit[0]}: the process that scored nothing but this file died, {_FILE_DEATHS} times"
            lost = FileReport(MediaName(unit[0]), error_code=WORKER_LOST, error_message=message)
            Output(task.output).write_rows([lost])
        yield unit
