"""The one module that knows Ray: a pool of actors takes the units, and Ray starts an actor again when it dies."""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at import: nothing is told to Ray's makers

import pyarrow as pa
import ray
import ray.data

from bulk.errors import ClusterError, OutputError
from bulk.plan import Unit
from bulk.worker import Receipt, Task, UnitWorker, receipts_of, units_table

_NAMESPACE = "deepfake-bulk"
_CLAIM_WAIT_S = 30.0
_UNITS_WAITING_AT_AN_ACTOR = 2
_MOST_BLOCKS = 5000
_FAILURES = (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, ImportError)


@dataclass(frozen=True)
class Pool:
    """How many actors a run has.

    Attributes:
        workers: Actors; those for which the cluster has no room now start when it has.
        cpus_per_worker: What each reserves, in cores; may be less than one.
    """

    workers: int
    cpus_per_worker: float


class _Claim:
    """An actor whose name is taken while its driver lives."""


class Cluster:
    """A cluster that this process is connected to. Made by `connected`."""

    @contextlib.contextmanager
    def claim(self, output: str) -> Iterator[None]:
        """Keeps other runs of this cluster from an output folder. Ends with this process, however it ends.

        Raises:
            OutputError: Another run has it.
            ClusterError: Ray failed.
        """
        name = f"bulk-{hashlib.sha256(output.encode()).hexdigest()[:16]}"
        options = ray.remote(num_cpus=0)(_Claim).options(name=name, namespace=_NAMESPACE)
        give_up_at = time.monotonic() + _CLAIM_WAIT_S
        while True:
            try:
                actor = options.remote()
                break
            except ValueError:  # a run that was killed a moment ago still has it
                if time.monotonic() > give_up_at:
                    raise OutputError(f"{output} is being written by another run on this cluster") from None
                time.sleep(0.5)
            except ray.exceptions.RayError as error:
                raise ClusterError(f"Ray failed: {_gist(error)}") from error
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                ray.kill(actor)

    def score(self, units: Sequence[Unit], task: Task, pool: Pool) -> Generator[Receipt]:
        """Has the units done; their receipts come as they are, in any order. Closing it stops the workers.

        Ray Data starts an actor that dies again, without end (max_restarts and max_task_retries are -1 there), and has
        its units done again: what must not go on for ever is seen by the actors themselves, from their attempts.

        Raises:
            ClusterError: Ray failed.
        """
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        try:
            receipts: Any = (
                ray.data.from_arrow(_blocks(units))
                .map_batches(
                    UnitWorker,
                    fn_constructor_args=(task,),
                    batch_size=1,
                    batch_format="pyarrow",
                    compute=ray.data.ActorPoolStrategy(
                        size=min(pool.workers, len(units)), max_tasks_in_flight_per_actor=_UNITS_WAITING_AT_AN_ACTOR
                    ),
                    num_cpus=pool.cpus_per_worker,
                )
                .iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
            )
            for table in receipts:
                yield from receipts_of(table)
        except _FAILURES as error:
            raise ClusterError(f"Ray failed: {_gist(error)}") from error


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """Connects to a cluster, or starts one on this machine, which ends with the block.

    Args:
        address: As for `ray.init`: host:port, "auto" on a machine of the cluster, or "local". RAY_ADDRESS if None, and
            this machine where that is not set either.

    Raises:
        ClusterError: It cannot be reached or started.
    """
    chosen = address or os.environ.get("RAY_ADDRESS") or "local"
    only_local = {"include_dashboard": False} if chosen == "local" else {}
    try:
        ray.init(address=chosen, namespace=_NAMESPACE, log_to_driver=False, logging_level=logging.WARNING, **only_local)
    except _FAILURES as error:
        raise ClusterError(f"cannot reach the Ray cluster {chosen}: {_gist(error)}") from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it says that its bars are off
    try:
        yield Cluster()
    finally:
        ray.shutdown()


def _blocks(units: Sequence[Unit]) -> list[pa.Table]:
    """One unit a block, several where there would be too many blocks for Ray to keep in mind."""
    size = -(-len(units) // _MOST_BLOCKS)
    return [units_table(list(units[start : start + size])) for start in range(0, len(units), size)]


def _gist(error: BaseException) -> str:
    """The last line of a traceback, where Ray puts one in its message."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"
