"""Where training runs: one device, several of this machine, or several machines.

Between two steps all replicas hold the same values of everything, running statistics and random state included. So one
replica's values are the state of the run, and a run that is restored on every replica goes on exactly.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar, final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls._backend._copies import copied
from imgcls.errors import ConfigurationError, TrainingError

_Float = TypeVar("_Float", np.float32, np.float64)
_STRIDE = 1_000_003  # between the seeds of two replicas: far more than layers of one model differ by
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@final
class Placement:
    """The devices that share each batch.

    Args:
        devices: Their names, or those of the workers.
        reason: Why these.
        strategy: What spreads a step over them; None for one device, which needs nothing of this.
        worker: Which process this is, from 0.
        workers: How many processes train together.
    """

    def __init__(
        self,
        devices: Sequence[str] = (),
        reason: str = "",
        *,
        strategy: Any = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.devices, self.reason, self.strategy = list(devices), reason, strategy
        self.worker, self.workers = worker, workers
        self._replicas = 1 if strategy is None else strategy.num_replicas_in_sync // workers  # in this process
        self._sum = tf.function(self._sum_over_workers, jit_compile=False)

    # --- what lives on every replica -----------------------------------------------------------------------------

    def scope(self) -> AbstractContextManager[Any]:
        """Create variables on every replica, and compute for all of them."""
        scope: AbstractContextManager[Any] = nullcontext() if self.strategy is None else self.strategy.scope()
        return scope

    def adopted(self, one: Any, build: Callable[[Any], Any]) -> Any:
        """Return a copy of a layer that has its variables on every replica; on one device the layer itself, built.

        Args:
            one: The layer, or None.
            build: Lets a layer make the variables that it makes when it is first called.

        Raises:
            ConfigurationError: Keras cannot copy it, or the copy has other variables.
        """
        if one is None:
            return None
        build(one)
        if self.strategy is None:
            return one
        message = (
            f"{type(one).__name__} cannot be copied to several devices. Accepted: a layer that Keras can make again "
            "from its get_config, with the same variables. Or train on one device."
        )
        try:
            with self.scope():
                copy = type(one).from_config(one.get_config())
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ConfigurationError(message) from error
        with self.scope():
            build(copy)
        if [tuple(own.shape) for own in copy.variables] != [tuple(theirs.shape) for theirs in one.variables]:
            raise ConfigurationError(message)
        _assign(copy.variables, one.variables)
        refresh_normalizations(copy)
        return copy

    @contextmanager
    def lent(self, model: Any) -> Iterator[Any]:
        """Yield a copy of a model that has its variables on every replica, and bring back what it has learnt.

        On one device it is the model itself.

        Raises:
            ConfigurationError: Keras cannot copy it.
        """
        if self.strategy is None:
            yield model
            return
        try:
            with self.scope():
                copy = copied(model)
        except (ValueError, TypeError, NotImplementedError) as error:
            message = (
                f"{type(model).__name__} cannot be copied to several devices. Accepted: a functional or sequential "
                "model, or one that Keras can make again from its get_config. Or train on one device."
            )
            raise ConfigurationError(message) from error
        _assign(copy.variables, model.variables)
        refresh_normalizations(copy)
        try:
            yield copy
        finally:
            _assign(model.variables, copy.variables)
            refresh_normalizations(model)

    # --- a step --------------------------------------------------------------------------------------------------

    def spread(
        self,
        learn: Callable[[Sequence[Any]], tuple[Any, Any, list[Any]]],
        apply: Callable[[list[Any]], None],
        batch: Sequence[Any],
        *,
        seeds: Sequence[Any],
        statistics: Sequence[Any],
    ) -> tuple[Any, Any, Any]:
        """Let each replica learn from a part of a batch, and all do the same update; to be called inside a graph.

        Replicas take parts that follow each other and differ by one image at most. One that gets none still takes
        part, since the others wait for it: it computes one image, which counts for nothing.

        Args:
            learn: From a batch to its mean loss, the number of right predictions and gradients.
            apply: Updates weights by gradients, those of the whole batch.
            batch: What this worker has of it: tensors of one length.
            seeds: The random state of layers. Each replica draws numbers of its own; afterwards all have the same.
            statistics: Variables that layers update while they compute. They become the mean over the whole batch.

        Returns:
            The mean loss, the number of right predictions and the number of images, over all workers.
        """
        count = tf.shape(batch[0])[0]
        filled = [
            tf.cond(count > 0, lambda one=one: one, lambda one=one: tf.zeros((1, *one.shape[1:]), one.dtype))
            for one in batch
        ]

        def run() -> tuple[Any, ...]:
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
            place = replica - self.worker * self._replicas
            first, last = place * count // self._replicas, (place + 1) * count // self._replicas
            shift = tf.stack([replica * _STRIDE, 0])
            for state in seeds:
                state.assign_add(tf.cast(shift, state.dtype))
            loss, hits, gradients = learn([one[first : tf.maximum(last, first + 1)] for one in filled])
            for state in seeds:
                state.assign_sub(tf.cast(shift, state.dtype))
            given = [loss, *(one for one in gradients if one is not None), *(one.value for one in statistics)]
            means = [tf.convert_to_tensor(one) for one in given]
            kind = tf.float64 if tf.float64 in [one.dtype for one in means] else tf.float32  # one: workers pack tensors
            size = tf.cast(last - first, kind)
            images, hits, *sums = context.all_reduce(
                tf.distribute.ReduceOp.SUM,
                [size, tf.cast(hits, kind) * tf.minimum(size, 1), *(tf.cast(one, kind) * size for one in means)],
            )
            pairs = zip(sums, means, strict=True)
            whole = iter([tf.cast(total / tf.maximum(images, 1), one.dtype) for total, one in pairs])
            loss = next(whole)
            apply([None if one is None else next(whole) for one in gradients])
            for variable, value in zip(statistics, whole, strict=True):
                variable.assign(value)
            return loss, tf.cast(hits, tf.float32), tf.cast(images, tf.float32)

        loss, hits, images = (self._first(one) for one in self.strategy.run(run))
        return loss, hits, images

    # --- between workers -----------------------------------------------------------------------------------------

    def gather(self, values: Sequence[float]) -> NDArray[np.float64]:
        """Return the numbers of every worker, a row for each; all workers must ask.

        Raises:
            TrainingError: A worker is lost.
        """
        table = np.zeros((self.workers, len(values)))
        table[self.worker] = values
        return self.total(table)

    def total(self, table: NDArray[_Float]) -> NDArray[_Float]:
        """Return the sum of the arrays of all workers, which are of one shape; all workers must ask.

        Raises:
            TrainingError: A worker is lost.
        """
        if self.workers == 1:
            return table
        with self.watched():
            total: NDArray[_Float] = self._sum(tf.constant(table)).numpy()
        return total

    def told(self, value: Any) -> Any:
        """Return the value that the first worker has, as JSON can hold it; all workers must ask.

        Raises:
            TrainingError: A worker is lost.
        """
        if self.workers == 1:
            return value
        words = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.float32)
        count = int(self.gather([len(words)])[0, 0])
        table = self.total(words if self.worker == 0 else np.zeros(count, np.float32))
        return json.loads(table.astype(np.uint8).tobytes())

    def check_alike(self, facts: Mapping[str, Any]) -> None:
        """Refuse workers that were started with something else.

        Args:
            facts: What must be equal, as JSON can hold it.

        Raises:
            ConfigurationError: The message names the workers and what differs.
        """
        if self.workers == 1:
            return
        digests = [hashlib.sha256(json.dumps(one, default=str).encode()).hexdigest()[:12] for one in facts.values()]
        table = self.gather([int(digest, 16) for digest in digests])
        differ = table != table[0]
        if differ.any():
            others = ", ".join(str(worker) for worker in np.flatnonzero(differ.any(axis=1)))
            what = ", ".join(name for name, any_ in zip(facts, differ.any(axis=0), strict=True) if any_)
            message = (
                f"worker {others} differs from worker 0 in: {what}. Start every worker with the same script, arguments "
                "and files; the folder of checkpoint must be one that all of them see."
            )
            raise ConfigurationError(message)

    def begin_alike(self, variables: Sequence[Any]) -> None:
        """Give every worker the values that the first one has: what was drawn at random differs."""
        if self.workers == 1:
            return

        def run() -> Any:
            context = tf.distribute.get_replica_context()
            leads = tf.equal(context.replica_id_in_sync_group, 0)
            held = [tf.convert_to_tensor(one) for one in variables]
            mine = [tf.where(leads, one, tf.zeros_like(one)) for one in held]
            return [context.all_reduce(tf.distribute.ReduceOp.SUM, one) for one in mine]  # of several types

        with self.watched():
            values = tf.function(lambda: self.strategy.run(run), jit_compile=False)()
        for variable, value in zip(variables, values, strict=True):
            variable.assign(self._first(value))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Word what TensorFlow raises where another worker is gone."""
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            named = [int(task) for task in re.findall(r"/task:(\d+)", str(error))]
            lost = next((f"worker {task}" for task in reversed(named) if task != self.worker), "another worker")
            message = (
                f"{lost} of {self.workers} is lost, and worker {self.worker} cannot go on without it. Start all "
                "workers again; with checkpoint=, they go on from the newest checkpoint. What TensorFlow noticed: "
                f"{_last_words(error)}"
            )
            raise TrainingError(message) from error

    def _sum_over_workers(self, table: Any) -> Any:
        def run() -> Any:
            context = tf.distribute.get_replica_context()
            speaks = tf.equal(context.replica_id_in_sync_group, self.worker * self._replicas)  # one for each worker
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(speaks, table, tf.zeros_like(table)))

        return self._first(self.strategy.run(run))

    def _first(self, value: Any) -> Any:
        """Return what the first replica of this process holds."""
        return self.strategy.experimental_local_results(value)[0]


# --- choosing -----------------------------------------------------------------------------------------------------


def placement(devices: Any = "auto") -> Placement:
    """Choose the devices to train on; workers join here, and wait for each other.

    Args:
        devices: "auto" for the workers that the variable TF_CONFIG names, or else all GPUs, or else the CPU; "cpu" or
            "gpu" (all of them) of this machine alone; or names of its devices, such as ["GPU:0", "GPU:1"].

    Raises:
        ConfigurationError: Devices are not there, TF_CONFIG cannot be read, or workers join too late.
        TrainingError: Not all workers came.
    """
    together = joined(devices)
    if together.workers > 1:
        return together
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    there = [name for name in there if name.startswith(("CPU:", "GPU:"))]
    gpus = [name for name in there if name.startswith("GPU:")]
    if devices == "auto":
        names = gpus or there[:1]
        reason = "each takes a part of every batch" if len(gpus) > 1 else "the only GPU" if gpus else "there is no GPU"
    else:
        names, reason = _named(devices, there), "asked for"
    if names == (gpus or there)[:1]:  # where TensorFlow computes by itself
        return Placement(names, reason)
    across = None if set(names) <= set(gpus) else tf.distribute.ReductionToOneDevice()  # else TensorFlow warns
    return Placement(names, reason, strategy=tf.distribute.MirroredStrategy(names, cross_device_ops=across))


def joined(devices: Any = "auto") -> Placement:
    """Join the workers that the variable TF_CONFIG names, as `placement` does; else return a place without others.

    Raises:
        ConfigurationError: TF_CONFIG cannot be read, or workers join too late.
        TrainingError: Not all workers came.
    """
    if devices == "auto" and (config := os.environ.get("TF_CONFIG")):
        members = _members(config)
        if len(members[0]) > 1:
            return _joined(*members)
    return Placement()


def _named(devices: Any, there: list[str]) -> list[str]:
    kinds = {"cpu": [name for name in there if name.startswith("CPU:")][:1]}
    kinds["gpu"] = [name for name in there if name.startswith("GPU:")]
    found = kinds.get(devices, []) if isinstance(devices, str) else [str(name).upper() for name in devices]
    if not found or len(set(found)) < len(found) or not set(found) <= set(there):
        message = (
            f"devices={devices!r} is not accepted. Accepted: 'auto', 'cpu', 'gpu', or a list of different ones of "
            f"{', '.join(there)}, which are what TensorFlow sees."
        )
        raise ConfigurationError(message)
    return found


def _members(config: str) -> tuple[tuple[str, ...], int]:
    """Return the addresses of all workers and which one this is, from the text of TF_CONFIG."""
    try:
        facts = json.loads(config)
        cluster, task = facts.get("cluster", {}), facts.get("task", {})
        chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
        if not chiefs and not workers:
            return (), 0
        index = {"chief": 0, "worker": len(chiefs)}[task["type"]] + int(task["index"])
        members = (*chiefs, *workers)
        dict(enumerate(members))[index]  # is there
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        message = (
            f"TF_CONFIG={config!r} is not understood. Accepted: "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, with the index of '
            "this process. Correct it, or unset it to train alone."
        )
        raise ConfigurationError(message) from error
    return members, index


@cache  # TensorFlow joins once in the life of a process
def _joined(members: tuple[str, ...], index: int) -> Placement:
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        message = (
            "TF_CONFIG names workers, and TensorFlow has computed something in this process already: it joins them "
            "before that or never. Call imgcls.trainer.choose_devices() at the beginning of the script, before models, "
            "layers and optimizers are made."
        )
        raise ConfigurationError(message) from error
    except tf.errors.OpError as error:
        message = (
            f"not all of the {len(members)} workers that TF_CONFIG names came: {_last_words(error)}. Start every one "
            "of them, and let each reach the addresses of the others."
        )
        raise TrainingError(message) from error
    names = [f"worker {place}" for place in range(len(members))]
    reason = f"TF_CONFIG names {len(members)} workers, and this is worker {index}"
    return Placement(names, reason, strategy=strategy, worker=index, workers=len(members))


def of_one_replica(loss: Any) -> Any:
    """Return the mean loss of what a replica has seen, from what a `keras.losses.Loss` gives there.

    Keras divides that by the number of replicas, since its own `fit` sums over them.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss * replicas if replicas > 1 else loss


def refresh_normalizations(model: Any) -> None:
    """Let `Normalization` layers compute with the statistics in their weights: they keep a copy, which Keras leaves."""
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras offers no public walk through nested models
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()


def _assign(targets: Sequence[Any], sources: Sequence[Any]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.assign(source.numpy())


def _last_words(error: tf.errors.OpError) -> str:
    """Return what happened, without the trace of the graph and advice that is about TensorFlow."""
    words = str(error.message).rsplit("\n\n", 1)[-1].split("The error could be from", 1)[0]
    return " ".join(words.split())
