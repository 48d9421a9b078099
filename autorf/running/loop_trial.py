"""What a training function of the user's own is given: one trial, and the ways to say how it goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from autorf.errors import InputError
from autorf.methods import Method
from autorf.ops._arguments import check_module, kind_of, whole_number
from autorf.running.clock import Clock
from autorf.running.random_state import random_state, set_random_state
from autorf.running.reported_scores import LOSS, Question, ReportedScores, reported_number
from autorf.surgery import adapt, adaptations, learned_values
from autorf.surgery.repetition import all_done
from autorf.training.field_meter import FieldMeter
from autorf.training.handle import Handle, attach
from autorf.training.packing import pack, unpack
from autorf.training.results import EpochReport
from autorf.training.resuming import newest_checkpoint, write_checkpoint

Model = TypeVar("Model", bound=nn.Module)


class Link(Protocol):
    """Between a trial and whoever asked for it."""

    def take(self, model: nn.Module) -> None:
        """Take note of the trial's model."""

    def report(self, report: EpochReport) -> bool:
        """Take a report; whether the training goes on."""


class LoopTrial:
    """One trial of a study whose trainings are a function of one's own; the function is called with it.

    Attributes:
        method: that sets or learns the receptive field.
        seed: of the training. Python's, NumPy's and torch's random numbers begin with it.
        length: optimizer steps to train; controls lengthen it. None under :class:`autorf.Objective` without ``steps``.
        folder: of the trial's own files; it stays between attempts.
        args: arguments of one's own that the search space varies, ``model.args.NAME``.
        notes: what went wrong with earlier checkpoints.

    Examples:
        >>> import autorf
        >>> def train(trial: autorf.LoopTrial) -> None:
        ...     model = trial.adapt(build())
        ...     optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-3))
        ...     for step in range(trial.steps):
        ...         autorf.advance(model, step, trial.steps)
        ...         take_a_step(model, optimizer)
        ...     autorf.advance(model, trial.steps, trial.steps)
        ...     trial.report(trial.steps, confusions=validate(model))
    """

    def __init__(
        self,
        method: Method,
        seed: int,
        steps: int | None,
        folder: Path,
        question: Question,
        link: "Link",
        *,
        args: Mapping[str, Any] | None = None,
        reported: Sequence[int] = (),
    ) -> None:
        self.method, self.seed, self.length, self.folder = method, seed, steps, folder
        self.args = dict(args or {})
        self._question, self._link = question, link
        # What earlier attempts reported too: a step that is reported again has the number it had.
        self._steps_reported = set(reported)
        self._model: nn.Module | None = None
        self._field: FieldMeter | None = None
        self._scores = ReportedScores(question)
        self._last: EpochReport | None = None
        self._is_stopped = False
        self._clock = Clock()
        self.notes: list[str] = []

    @property
    def steps(self) -> int:
        """Optimizer steps to train: the length, where it is known.

        Raises:
            InputError: under :class:`autorf.Objective` without ``steps``.
        """
        if self.length is None:
            raise InputError("trial.steps: the training's length is not known; give Objective its steps")
        return self.length

    @property
    def model(self) -> nn.Module | None:
        """The adapted model; None before :meth:`adapt` or :meth:`attach`."""
        return self._model

    @property
    def last(self) -> EpochReport | None:
        """What was reported last; None before."""
        return self._last

    @property
    def is_stopped(self) -> bool:
        """Whether a report was answered with False."""
        return self._is_stopped

    @property
    def confusions(self) -> Tensor | None:
        """``(n_images, C, C)`` of the last report; None where it had none."""
        return self._scores.confusions

    def adapt(self, model: Model) -> Model:
        """Put the trial's method into the model; see :func:`autorf.adapt`.

        A model that is adapted by the method already is only taken note of.

        Args:
            model: as it is built, under the trial's seed.

        Returns:
            The same model.

        Raises:
            InputError: for whatever :func:`autorf.adapt` refuses, or a second model.
        """
        check_module("trial.adapt", model)
        self._take(model)
        if not all_done((self.method,), [done.method for done in adaptations(model)]):
            adapt(model, self.method)
        return model

    def attach(self, model: nn.Module, optimizer: Optimizer) -> Handle:
        """Put the trial's method into a model and its optimizer; see :func:`autorf.attach`, instead of :meth:`adapt`.

        Raises:
            InputError: for whatever :func:`autorf.attach` refuses, or a trial of unknown length.
        """
        self._take(model)
        return attach(model, optimizer, self.method, self.steps)

    def due(self, step: int, every: int) -> bool:
        """Whether to validate and report after ``step`` steps: behind every ``every`` steps, and at the last one.

        Raises:
            InputError: for numbers below 1.
        """
        step, every = (whole_number("trial.due", name, value) for name, value in (("step", step), ("every", every)))
        return step % every == 0 or step == self.length

    def report(self, step: int, *, confusions: Any = None, **metrics: Any) -> bool:
        """Say how well the model does after ``step`` optimizer steps; the last step of the training has to be reported.

        Args:
            step: how many steps were taken, more at each report.
            confusions: ``(n_images, C, C)`` whole numbers, ``[image, truth, predicted]``: pixels of the validation
                split, each image's apart and in one order for all trials. All scores follow from them. Without them
                intervals rest on seeds alone.
            metrics: the study's metric as a share from 0 to 1 where there are no confusions, further ones of ``miou``,
                ``f1`` and ``pixel_accuracy``, and ``loss``.

        Returns:
            Whether to go on. False: the search has stopped this trial; return. What it needs to go on later is what was
            saved before the report.

        Raises:
            InputError: for a step out of order, another metric, a score that is no number, confusions of another shape
                or other images, or a model that the trial's method is not in.
        """
        self._clock.stop()
        number = self._number_of(step)
        if self._model is None:
            raise InputError(
                "trial.report: the trial's method is in no model; call trial.adapt(model), or trial.attach(model, "
                "optimizer), before the training"
            )
        loss = metrics.pop(LOSS, None)
        scored = self._scores(confusions, metrics)
        is_on_gpu = any(parameter.is_cuda for parameter in self._model.parameters())
        self._last = EpochReport(
            epoch=number,
            loss=None if loss is None else reported_number(LOSS, loss),
            metrics=scored,
            learned=learned_values(self._model),
            field=None if self._field is None else self._field(),
            steps=int(step),
            seconds=round(self._clock.seconds, 2),
            cpu_seconds=None if is_on_gpu else round(self._clock.cpu_seconds, 2),
        )
        self._steps_reported.add(int(step))
        if not self._is_stopped:
            self._is_stopped = not self._link.report(self._last)
        self._clock.go()
        return not self._is_stopped

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep what the training needs to go on from here; call it before :meth:`report`.

        The checkpoint before stays until this one is whole. The state of random numbers is kept with it.

        Args:
            state: mappings, lists, numbers, text, None and tensors, nested in any way, such as ``state_dict()`` of
                model, optimizer and scheduler, and the step.

        Raises:
            InputError: for anything else, naming where it is.
        """
        if not isinstance(state, Mapping):
            raise InputError(f"trial.save takes names and values, got {kind_of(state)}")
        self._clock.stop()
        clocks = {"seconds": self._clock.seconds, "cpu_seconds": self._clock.cpu_seconds}
        try:
            content = pack({"state": dict(state), "random": random_state(), **clocks})
        except TypeError as error:
            raise InputError(f"trial.save: {error}; keep tensors and plain values") from None
        self.folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.folder, content)
        self._clock.go()

    def restore(self) -> dict[str, Any] | None:
        """What :meth:`save` kept last, in an attempt before this one; None for a trial that begins.

        Load it into model, optimizer and scheduler once they are made: random numbers go on from there too. Tensors are
        on the CPU.
        """
        path, notes = newest_checkpoint(self.folder, len(self._steps_reported))
        self.notes += notes
        if path is None:
            return None
        kept = unpack(path.read_bytes())
        set_random_state(kept["random"])
        self._clock = Clock(kept["seconds"], kept["cpu_seconds"])
        state: dict[str, Any] = kept["state"]
        return state

    def _take(self, model: nn.Module) -> None:
        if self._model is not None and self._model is not model:
            raise InputError("trial.adapt: the trial has a model already; a trial trains one")
        self._model = model
        self._link.take(model)
        if self._question.image_size is not None:
            self._field = FieldMeter(model, self._question.image_size)

    def _number_of(self, step: Any) -> int:
        """The number of the report for a step: how many earlier steps were reported."""
        most = {} if self.length is None else {"most": self.length}
        step = whole_number("trial.report", "step", step, **most)
        if self._last is not None and step <= (self._last.steps or 0):
            raise InputError(
                f"trial.report: step {step} comes behind step {self._last.steps}; report each step once, in order"
            )
        return sum(reported < step for reported in self._steps_reported)
