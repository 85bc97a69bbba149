"""The loop: epoch by epoch, step by step, from wherever training stands.

What a step does follows from the state alone: which images it sees from (seed, epoch, step), random numbers from
variables that are part of the state. So a run that is stopped anywhere and goes on equals one that never stopped, bit
for bit, on one kind of machine. A budget of time excepts: where its end is, the clock says.

Several workers run this same loop, each on its part of every batch. What only one of them can know (the time, a signal,
what it measured) is agreed upon, so that all do the same steps: a step waits for everyone.
"""

import signal
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _warnings
from imgcls._progress import ProgressReport
from imgcls.datasets import Batch, Batches
from imgcls.errors import TrainingError, TrainingWarning
from imgcls.trainer._average import Average
from imgcls.trainer._callbacks import Heard, epoch_put_back, watches_batches
from imgcls.trainer._checkpoint import Checkpoints, State
from imgcls.trainer._doctor import Doctor
from imgcls.trainer._history import History
from imgcls.trainer._interrupts import Interrupts
from imgcls.trainer._keeper import VARIABLE, Keeper, NotANumberError
from imgcls.trainer._micro_batches import halve
from imgcls.trainer._notes import Notes
from imgcls.trainer._pace import Pace
from imgcls.trainer._resizing import Resizing
from imgcls.trainer._validation import Validation

_LOOK_STEPS = 20  # after so many steps the running loss is looked at
_ROLLBACKS = 3


class _StoppedError(Exception):
    """Somebody asked to stop; the state is that between two steps."""


@final
class Loop:
    """Runs the steps of one training.

    Args:
        model: The model, which `step` trains.
        step: The compiled step.
        training: The images in batches.
        targets: What the loss compares outputs with, for each image.
        weights: The weight of each image.
        validation: What is measured every epoch, or None.
        doctor: Looks at every epoch.
        pace: Progress and learning rates.
        callbacks: Keras callbacks by name, as `named` gives them.
        epochs: How often every image is seen, at most.
        seed: Of the order of images.
        alternating_flip: As in `Batches.shuffled`.
        mix_until: The progress at which images are no longer mixed.
        resizing: The size of images at each progress, or None for that of the model.
        began: When the clock of a budget started, by `time.monotonic`.
        checkpoints: Where the state is kept, or None.
        found: The state to go on from, or None.
        report: Lines and bars.
        placement: Which worker this is, and the others.
    """

    def __init__(
        self,
        model: Any,
        step: _backend.TrainingStep,
        training: Batches,
        *,
        targets: NDArray[Any],
        weights: NDArray[np.float32],
        validation: Validation | None,
        doctor: Doctor,
        pace: Pace,
        callbacks: Mapping[str, Any],
        epochs: int,
        seed: int,
        alternating_flip: bool,
        mix_until: float,
        resizing: Resizing | None,
        began: float,
        checkpoints: Checkpoints | None,
        found: State | None,
        report: ProgressReport,
        placement: _backend.Placement,
    ) -> None:
        self._model, self._step, self._training = model, step, training
        self._targets, self._weights = targets, weights
        self._validation, self._doctor = validation, doctor
        self._pace, self._epochs, self._mix_until, self._resizing = pace, epochs, mix_until, resizing
        self._order: dict[str, Any] = {"seed": seed, "alternating_flip": alternating_flip}
        self._checkpoints, self._found = checkpoints, found
        self._report, self._placement = report, placement
        self._average = Average(model)
        self._heard = Heard()
        self._watchers = keras.callbacks.CallbackList(
            [*callbacks.values(), self._heard], model=model, epochs=epochs, steps=len(training), verbose=0
        )
        self._callbacks = callbacks
        self._per_batch = any(map(watches_batches, callbacks.values()))  # else no step waits for its means
        self._interrupts = Interrupts(terminate=checkpoints is not None)
        # where training stands
        self._epoch, self._place, self._done = 0, 0, 0  # epochs, steps of this epoch, steps in all
        self.history, self._rollbacks = History(), 0
        self._seconds, self._overhead = 0.0, 0.0  # of earlier processes
        # what is measured on the way
        self._began = began
        self._reserve, self._progress, self._rate = 0.0, 0.0, 0.0
        self._due, self._asked = False, False  # to save; to stop
        self._cheap = True  # to note the state
        self._trouble: str | None = None  # why the last checkpoint could not be written
        self._waited = 0.0  # seconds for batches, in this epoch
        self._heading = ""  # that was printed last
        self._started = False  # whether a step was done in this process
        self._added: list[Any] = []  # callbacks that the run did not have when it was interrupted

    def run(self) -> History:
        """Train to the end, or until a callback, Ctrl-C or SIGTERM stops it.

        Raises:
            TrainingError: The loss is not a number, also with lower rates.
        """
        if self._resumed_at_the_end():
            return self.history
        self._model.stop_training = False
        self._watchers.on_train_begin()
        self._notes = Notes(self._callbacks)
        self._resume()
        with self._interrupts:
            try:
                while not self._is_over():
                    try:
                        self._run_epoch()
                    except NotANumberError:
                        if not self._roll_back():
                            break
            except (_StoppedError, KeyboardInterrupt) as stop:
                self._interrupts.patient = True
                self._stop(exact=isinstance(stop, _StoppedError))
            else:
                self._finish()
        return self.history

    def pass_on(self) -> None:
        """Let a signal that was noted do what it does, now that the state is safe: also one that came after the end."""
        if self._interrupts.asked == signal.SIGINT:
            self.history.interrupted = True
        self._interrupts.pass_on()

    # --- an epoch ------------------------------------------------------------------------------------------------

    def _run_epoch(self) -> None:
        self._begin_epoch()
        if self._model.stop_training and not self._place:  # there is nothing that a row could tell
            self._keeper.note(self._capture)
            return
        self._report.begin(f"epoch {self._epoch + 1}/{self._epochs}", len(self._training))
        self._waited, begin = 0.0, time.perf_counter()
        with closing(self._batches()) as batches:
            for batch in batches:
                if self._progress >= 1 or self._model.stop_training:  # by the clock; by steps, no batch is left
                    break
                self._train_on(batch)
                self._place, self._done = self._place + 1, self._done + 1
                self._report.done(self._place)
                self._pause()
        if not self._pace.leads and self._place < len(self._training):  # nobody knew that this step was the last
            self._rate = self._own_rate()
        self._look()
        spent = time.perf_counter() - begin
        with self._average.lent(stays=self._is_over):
            begin = time.perf_counter()
            measured = self._measure()
            self._reserve = time.perf_counter() - begin
            row = {**self._step.means(reset=True), **measured, "learning_rate": self._rate}
            self._watchers.on_epoch_end(self._epoch, row)
            self._agree_to_stop()
            self.history.append(row | self._heard.numbers)
            self._epoch, self._place = self._epoch + 1, 0
            self.history.seconds = self._elapsed()
        heading, line = self.history.row(self._epochs)
        if heading != self._heading:
            self._report.say(heading)
        self._heading = heading
        self._report.say(line)
        for words in self._doctor.look(self.history, waited=self._waited, seconds=spent, last=self._is_over()):
            self.history.advice.append(words)
            self._report.say(f"doctor: {words}")
        if self._due or self._is_over():
            self._save()
        elif self._cheap:
            self._keeper.note(self._capture)

    def _begin_epoch(self) -> None:
        """Tell callbacks that an epoch begins.

        Where it had begun before, what they did then is in the state, and is not done to it twice. Those that the run
        did not have then begin it now.
        """
        if not self._place:
            self._watchers.on_epoch_begin(self._epoch)
        else:
            for one in self._watchers.callbacks:
                if one not in self._added:
                    one.on_epoch_begin(self._epoch, {})
            self._go_back()
            for one in self._added:
                one.on_epoch_begin(self._epoch, {})
            if self._added:
                self._keeper.good = self._capture()
        self._added = []
        self._agree_to_stop()

    def _measure(self) -> dict[str, float]:
        """Validate; all go by the figures of the first worker, since machines may differ in the last bits."""
        if self._validation is None:
            return {}
        measured = self._validation.measure(self._check_stop)
        figures = self._placement.gather(list(measured.values()))[0].tolist()
        return dict(zip(measured, figures, strict=True))

    def _batches(self) -> Generator[Batch]:
        """Yield this worker's part of each batch, from where the epoch stands, and add up the time waited for them."""
        part = (self._placement.worker, self._placement.workers)
        batches = self._training.shuffled(**self._order, epoch=self._epoch, start=self._place, part=part)
        while True:
            begin = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - begin
            if batch is None:
                return
            yield batch

    def _train_on(self, batch: Batch) -> None:
        rate = self._pace.rate(self._progress)
        if rate is not None:
            self._rate = rate
        elif self._place == len(self._training) - 1:  # of the last step; a schedule moves on after it
            self._rate = self._own_rate()
        if not len(batch.positions) and self._placement.workers == 1:  # all its files have gone bad since the beginning
            return
        if self._per_batch:
            self._watchers.on_train_batch_begin(self._place)
        data = (batch.images, self._targets[batch.positions], self._weights[batch.positions])
        size = None if self._resizing is None else self._resizing.at(self._progress)
        while True:
            try:
                self._step(*data, rate=rate, mix=self._progress < self._mix_until, size=size)
                break
            except _backend.OutOfMemory as error:
                self._halve(len(batch.images), error)
        if self._per_batch:
            self._watchers.on_train_batch_end(self._place, self._step.means())

    def _own_rate(self) -> float:
        """Return the rate of an optimizer that leads it itself."""
        return float(np.asarray(self._model.optimizer.learning_rate))

    def _halve(self, count: int, error: Exception) -> None:
        """Go on with micro-batches of half the size."""
        if self._placement.workers > 1:  # the others are in the middle of this step
            message = (
                f"{count} images of a batch do not fit into the memory of worker {self._placement.worker}. Give "
                f"micro_batches={2 * self._step.micro_batches}, or a smaller batch_size."
            )
            raise TrainingError(message) from error
        halve(self._step, self._model, count, error, say=self._report.say)

    def _pause(self) -> None:
        """Between two steps: look whether to stop, whether the loss is a number, whether to save."""
        self._check_stop()
        self._started = True
        if self._done % _LOOK_STEPS == 0:
            self._look()
        if self._due:
            self._look()
            self._save()

    def _check_stop(self) -> None:
        self._look_around()
        if self._asked:
            raise _StoppedError

    def _look_around(self) -> None:
        """See the time and signals: all workers go by the clock of the first, and any of them can stop all."""
        if not self._started:  # reading and compiling are no progress, in this process as in those before it
            self._pace.overhead = self._overhead + self._elapsed() - self._seconds
        progress = self._pace.progress(self._done, self._elapsed(), reserve=self._reserved())
        due, cheap = self._keeper.save_is_due, self._keeper.note_is_cheap
        asked = self._interrupts.asked is not None
        seen = self._placement.gather([progress, due, cheap, asked, self._model.stop_training])
        self._progress, self._due, self._cheap = float(seen[0, 0]), bool(seen[0, 1]), bool(seen[0, 2])
        self._asked, self._model.stop_training = bool(seen[:, 3].any()), bool(seen[:, 4].any())

    def _agree_to_stop(self) -> None:
        """Let a callback that has stopped training on one worker, beside the steps, stop it on all."""
        self._model.stop_training = bool(self._placement.gather([self._model.stop_training]).any())

    def _reserved(self) -> float:
        """Return the seconds that a validation takes: as the last one did; before that, a third of as many steps."""
        if self._reserve or self._validation is None or self._done < 2:
            return self._reserve
        step = (self._elapsed() - self._pace.overhead) / (self._done - 1)  # the first was spent compiling
        return step * len(self._validation) / 3

    def _look(self) -> None:
        if not np.isfinite(self._step.means()["loss"]):
            raise NotANumberError

    def _is_over(self) -> bool:
        between = self._place == 0  # an epoch that has begun is measured first, also by a process that goes on
        return between and (self._epoch >= self._epochs or self._model.stop_training or self._progress >= 1)

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._began

    # --- the state -----------------------------------------------------------------------------------------------

    def _capture(self, *, finished: bool = False) -> State:
        facts, arrays = self._notes.capture()
        arrays |= {f"{VARIABLE}{index:05d}": value for index, value in enumerate(self._step.capture())}
        values = self.history.get("val_loss")
        return State(
            {
                "epoch": self._epoch,
                "place": self._place,
                "done": self._done,
                "seconds": self._elapsed(),
                "scale": self._pace.scale,
                "overhead": self._pace.overhead,
                "reserve": self._reserve,
                "rollbacks": self._rollbacks,
                "micro_batches": self._step.micro_batches,
                "rate": self._rate,
                "history": {name: list(self.history[name]) for name in self.history},  # later epochs are added to it
                "advice": list(self.history.advice),
                "best_epoch": self.history.best_epoch,
                "complaints": sorted(self._doctor.said),
                "callbacks": facts,
                "images": len(self._training.dataset),
                "stopped": bool(self._model.stop_training),
                "averaged": self._average.taken,
                "left_out": None if self._validation is None else self._validation.left_out,
                "finished": finished,
            },
            arrays,
            score=values[-1] if values and not (self._place or finished) else None,  # of these weights, or none
        )

    def _restore(self, state: State) -> None:
        facts = state.facts
        names = sorted(name for name in state.arrays if name.startswith(VARIABLE))
        self._step.restore([state.arrays[name] for name in names])
        self._epoch, self._place, self._done = facts["epoch"], facts["place"], facts["done"]
        self._rollbacks, self._rate = facts["rollbacks"], facts["rate"]
        self._pace.scale, self._reserve = facts["scale"], facts["reserve"]
        # As many parts as are asked for now, or were found to be needed.
        self._step.micro_batches = max(self._step.micro_batches, facts["micro_batches"])
        self._model.stop_training, self._doctor.said = facts["stopped"], set(facts["complaints"])
        self._average.taken = facts.get("averaged", False)  # before, nobody noted it: to take it again changes nothing
        if self._validation is not None:
            self._validation.left_out = facts.get("left_out")  # before, nobody noted it: it is found anew
        found = {"seconds": facts["seconds"], "advice": facts["advice"], "best_epoch": facts.get("best_epoch")}
        self.history = History(facts["history"], **found)

    def _resumed_at_the_end(self) -> bool:
        """Take over a run that has ended already."""
        self._placement.check_alike({"checkpoint": None if self._found is None else self._found.facts["done"]})
        if self._checkpoints is None or self._found is None or not self._found.facts["finished"]:
            return False
        self._restore(self._found)
        self._report.say(f"{self._checkpoints.folder} holds this run to its end: nothing is left to train")
        return True

    def _resume(self) -> None:
        """Take over where the newest checkpoint stands, or note the beginning to roll back to."""
        if self._checkpoints is not None and self._found is not None:
            found = self._found.facts
            self._restore(self._found)
            self._notes.restore(found["callbacks"], self._found.arrays)
            self._added = self._notes.missing_in(found["callbacks"])
            self._seconds, self._overhead = found["seconds"], found["overhead"]
            self._report.say(f"resumed {self._checkpoints.folder}: {self._where()}")
            if found["images"] != len(self._training.dataset):
                self._report.say(
                    f"{found['images']:,} images could be read then and {len(self._training.dataset):,} now: this "
                    "epoch is not exactly the one that was interrupted"
                )
        if self._validation is not None:
            self._validation.compile()
        self._keeper = Keeper(self._checkpoints, self._capture())
        self._look_around()

    def _save(self, *, last: bool = False, finished: bool = False) -> bool:
        """Keep the state, in memory and in a checkpoint, and return whether that could be written, where one is kept.

        A trouble is said once, and once more when it is over. After the `last` time nothing is tried again.
        """
        before = self._trouble
        self._trouble = self._keeper.save(partial(self._capture, finished=finished))
        self._due = self._cheap = False
        if self._checkpoints is not None and (self._trouble is None) != (before is None):
            folder = self._checkpoints.folder
            if self._trouble is None:
                self._report.say(f"checkpoints are written to {folder} again")
            elif last:
                self._warn(f"no checkpoint can be written to {folder}: {self._trouble}. The last good one is kept")
            else:
                self._warn(
                    f"no checkpoint can be written to {folder} now: {self._trouble}. Training goes on, and tries again "
                    "whenever one is due, at a stop and at the end; the last good checkpoint is kept. Free or mend the "
                    "disk meanwhile: a run that is stopped before then goes on from that checkpoint"
                )
        return self._trouble is None

    def _roll_back(self) -> bool:
        """Go back to the last good state, with half the learning rate; or give up, and say so."""
        engine, place, stopped = self._model.optimizer, self._where(), self._model.stop_training
        count = self._rollbacks + 1
        fixed = not self._pace.leads and (
            not isinstance(engine.learning_rate, keras.Variable)
            or any(isinstance(one, keras.callbacks.LearningRateScheduler) for one in self._callbacks.values())
        )
        self._go_back()
        self._look_around()
        if count > _ROLLBACKS or fixed or stopped:
            lower = "the rate follows your own schedule" if fixed else f"{_ROLLBACKS} lower rates did not help"
            why = "a callback has stopped training" if stopped else lower
            advice = f"the loss became NaN or infinite at {place}, and {why}. Give a lower learning_rate"
            if not self._done:
                raise TrainingError(f"{advice}; look at the images, labels and weights, if that does not help.")
            self._warn(f"{advice}. The model keeps what it had learnt until {self._where()}")
            self._model.stop_training = True
            return False
        self._pace.scale /= 2
        if not self._pace.leads:
            engine.learning_rate = float(np.asarray(engine.learning_rate)) / 2
        self._rollbacks = count
        self._keeper.good = self._capture()
        self._warn(
            f"the loss became NaN or infinite at {place}: back to {self._where()}, with half the learning rate "
            f"({count} of at most {_ROLLBACKS} times)"
        )
        return True

    def _go_back(self) -> None:
        """Be where the last good state was."""
        good = self._keeper.good
        self._restore(good)
        self._notes.restore(good.facts["callbacks"], good.arrays)

    def _stop(self, *, exact: bool) -> None:
        """Keep what was learnt; in a checkpoint too, if the state is exactly that between two steps.

        Ctrl-C once more gives up that checkpoint, and nothing else.
        """
        where, until, written = self._where(), "", False
        try:
            self._look()
            if exact:
                with self._interrupts.giving_way():
                    written = self._save(last=True)
            if not written:
                self._keeper.note(self._capture)
        except NotANumberError:  # nobody has looked since; the last good checkpoint stays the newest
            self._go_back()
            until, written = f" until {self._where()}, where its loss was still a number", True
        self._leave(f"at {where}", until, written=written)

    def _finish(self) -> None:
        """End training as it was meant to end; Ctrl-C once more waits for no callback and no disk."""
        finished = False
        with self._interrupts.giving_way():
            self._average.take()  # where a callback or the clock ended training between two epochs
            self._watchers.on_train_end({name: values[-1] for name, values in self.history.items()})
            self.history.best_epoch = epoch_put_back(self._callbacks.values())
            written = self._save(last=True, finished=True)
            finished = True
            if self._checkpoints is not None and not written:
                folder = str(self._checkpoints.folder)
                self._report.say(f"the end of this run is in no checkpoint: checkpoint={folder!r} has what came before")
        if not finished:
            self._go_back()  # best weights may be in place by half
            self._leave("after the last step")

    def _leave(self, where: str, until: str = "", *, written: bool = False) -> None:
        """Note that training was interrupted, and say what is kept and how to go on."""
        self.history.interrupted, self.history.seconds = True, self._elapsed()
        words = f"interrupted {where}; the model keeps what it has learnt{until}"
        if self._checkpoints is not None:
            words += "" if written else ". Its last steps may be in no checkpoint"
            words += f". To go on, train again with checkpoint={str(self._checkpoints.folder)!r}"
        self._average.take()
        self._report.say(words)

    def _where(self) -> str:
        return f"epoch {min(self._epoch + 1, self._epochs)}/{self._epochs}, step {self._place}/{len(self._training)}"

    def _warn(self, words: str) -> None:
        self._report.say(words)
        _warnings.warn(f"{words}.", TrainingWarning)
