"""Put methods into a model."""

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from autorf.errors import InputError, TrainingWarning
from autorf.methods.base import Method
from autorf.methods.modules import AdaptiveModule
from autorf.methods.region import Region
from autorf.methods.region_ends import place
from autorf.ops._arguments import check_module, check_tensor, kind_of
from autorf.surgery.dry_run import run, runnable_input, shapes
from autorf.surgery.fusing import try_fusing_first
from autorf.surgery.optimizer_watch import watch
from autorf.surgery.record import CHANGED, RECORD, Adaptation
from autorf.surgery.repetition import all_done, may_repeat
from autorf.surgery.scopes import SCOPES, Exchange
from autorf.surgery.state_mark import watch_loading
from autorf.surgery.swap import first_leaf, put_back, swap
from autorf.surgery.unused import unused_on_any_image, uses_of
from autorf.surgery.wrappers import all_modules, check_inside, named_modules, refuse_flat, submodule, unwrapped


@dataclass(frozen=True)
class Plan:
    """One adaptation and the modules that carry it out."""

    adaptation: Adaptation
    exchange: Exchange


def adapt(model: nn.Module, method: Method, *methods: Method, example_input: Tensor | None = None) -> nn.Module:
    """Make ``model``'s receptive field adjustable by ``methods``, in place, and return it.

    Weights, ``state_dict`` keys and, for methods that learn, the output stay as they are. Everything is checked before
    the first layer is swapped, so the model is untouched after an error.

    Args:
        model: any module; convolutions of timm and segmentation-models-pytorch are known. Of a compiled model the one
            inside is changed; other wrappers come afterwards, unless the method adds nothing to the state.
        method: what to do, a specification.
        methods: further ones, on disjoint targets, applied in order.
        example_input: ``(N, C, H, W)``; if given, the adapted model is run once without gradients to check shapes.
            Without one the model is run on a random image, if it takes one, to see that the targets run; a region's
            method always takes dry runs.

    Raises:
        InputError: when a target matches nothing, a matched layer cannot be treated, targets overlap each other or an
            earlier adaptation, something goes around a region, the dry run changes the output's shape, or a target lies
            inside a wrapper that would not take notice of the change. With an ``example_input`` also when the forward
            pass does not call a target.

    Warns:
        TrainingWarning: where the forward pass on a random image does not call a target, so that nothing changes.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1))
        >>> model = autorf.adapt(model, autorf.Dilation(targets=("1",), rate=4))
        >>> model[1].dilation, model[1].padding
        ((4, 4), (4, 4))
    """
    check_module("adapt", model)
    if example_input is not None:
        check_tensor("adapt", "example_input", example_input)
    wrapped, model = model, unwrapped(model)
    if may_repeat(model) and all_done((method, *methods), [done.method for done in adaptations(model)]):
        return wrapped
    owners = {name: f"the earlier {earlier.method.method}" for earlier in adaptations(model) for name in earlier.names}
    plans = [plan for each in (method, *methods) for plan in _plans(wrapped, each, owners, example_input)]
    if example_input is None and _folds(plans):
        example_input = runnable_input(model, None)
    before = None if example_input is None else shapes(run(model, example_input))

    unused: list[str] = []

    def check() -> None:
        layers = _layers(plans)
        if example_input is None:
            unused.extend(filter(None, [unused_on_any_image(model, layers)]))
            return
        with uses_of(layers) as uses:
            after = shapes(run(model, example_input))
        if after != before:
            folds = "; fold needs a network that resizes to its input's size at the end" if _folds(plans) else ""
            raise InputError(f"the adapted model's output has shape {after} instead of {before}{folds}")
        if (problem := uses.problem()) is not None:
            raise InputError(f"adapt: {problem}")

    carry_out(model, plans, check)
    for problem in unused:
        warnings.warn(f"adapt: {problem}", TrainingWarning, stacklevel=2)
    return wrapped


def _layers(plans: Sequence[Plan]) -> dict[str, nn.Module]:
    """What methods put in the place of single layers; that a region runs is proven as it is made."""
    changes = [plan.exchange.replacements for plan in plans if plan.exchange.region is None]
    return {name: layer for replacements in changes for name, layer in replacements.items()}


def _check_wrappers(wrapped: nn.Module, method: Method, names: Sequence[str], *, new_state: bool) -> None:
    for name in names:
        check_inside(wrapped, name, method.method, new_state=new_state)


def _adds_state(exchange: Exchange) -> bool:
    replacements = exchange.replacements.values()
    return exchange.region is not None or any(isinstance(module, AdaptiveModule) for module in replacements)


def _folds(plans: Sequence[Plan]) -> bool:
    return any(plan.exchange.region is not None and plan.exchange.region.fold for plan in plans)


def adaptations(model: nn.Module) -> tuple[Adaptation, ...]:
    """What ``adapt`` did to ``model`` or to modules inside it, names as ``model`` sees them.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(targets="0", rate=2))
        >>> [(done.method.method, done.names) for done in autorf.adaptations(model)]
        [('dilation', ('0',))]
    """
    check_module("adaptations", model)
    named = named_modules(model)
    present = {name for name, _ in named}
    done = (
        Adaptation(adaptation.method, _within(prefix, adaptation.names), _within(prefix, adaptation.frozen))
        for prefix, module in named
        for adaptation in getattr(module, RECORD, ())
    )
    # What was fused into another layer for deployment is there no more.
    return tuple(adaptation for each in done if (adaptation := _of_those(each, present)).names)


def _of_those(adaptation: Adaptation, present: Collection[str]) -> Adaptation:
    names, frozen = ([name for name in names if name in present] for names in (adaptation.names, adaptation.frozen))
    return Adaptation(adaptation.method, tuple(names), tuple(frozen))


def _within(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names) if prefix else names


def carry_out(model: nn.Module, plans: Sequence[Plan], check: Callable[[], None] = lambda: None) -> None:
    """Change ``model`` by all of ``plans``, or, when anything raises, ``check`` included, not at all."""
    undo: list[Callable[[], None]] = []
    try:
        for plan in plans:
            undo.append(partial(put_back, model, swap(model, plan.exchange.replacements)))
        for plan in plans:
            if plan.exchange.region is not None:
                undo.append(_install(model, plan.adaptation, plan.exchange.region))
        check()
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    done = tuple(plan.adaptation for plan in plans)
    setattr(model, RECORD, (*getattr(model, RECORD, ()), *done))
    watch_loading(model)
    watch(model)
    try_fusing_first(model, [name for plan in plans for name in plan.adaptation.names])
    for plan in plans:
        for name in plan.adaptation.names:
            setattr(submodule(model, name), CHANGED, plan.adaptation.method.method)
        plan.adaptation.method.finish(model)


def _plans(wrapped: nn.Module, method: Method, owners: dict[str, str], example_input: Tensor | None) -> list[Plan]:
    """Check everything about ``method`` and enter its targets into ``owners``."""
    model = unwrapped(wrapped)
    scope = SCOPES.get(getattr(method, "scope", None))
    if scope is None:
        raise InputError(f"adapt takes methods such as Dilation(...), got {kind_of(method)}")
    plans: list[Plan] = []
    for placed, names in scope.places(model, method):
        _claim(placed, names, owners)
        # Before anything else is asked of the layers: those in some wrappers are not what they seem.
        _check_wrappers(wrapped, placed, names, new_state=False)
        exchange = scope.exchange(model, placed, names, example_input)
        _check_wrappers(wrapped, placed, names, new_state=_adds_state(exchange))
        plans.append(Plan(Adaptation(placed, names), exchange))
    return plans


def _claim(method: Method, names: Sequence[str], owners: dict[str, str]) -> None:
    for name in names:
        if name in owners:
            raise InputError(f"{method.method}: {name!r} is already a target of {owners[name]}")
    owners.update(dict.fromkeys(names, method.method))


def _install(model: nn.Module, adaptation: Adaptation, region: Region) -> Callable[[], None]:
    first, last = (submodule(model, name) for name in adaptation.names)
    holder, name = first_leaf(first), adaptation.method.method
    undo_ends = place(region, first, last, model)
    holder.add_module(name, region)

    def undo() -> None:
        delattr(holder, name)
        undo_ends()

    return undo


def adaptive_modules(model: nn.Module) -> dict[str, AdaptiveModule]:
    """The modules that methods put into ``model``, by name, without prefixes of wrappers.

    Raises:
        InputError: when their parameters lie in the flat pieces of ``FullyShardedDataParallel``.
    """
    adaptive = {name: module for name, module in named_modules(model) if isinstance(module, AdaptiveModule)}
    if adaptive:
        refuse_flat(model.modules())
    return adaptive


def each_adaptive_module(model: nn.Module) -> list[AdaptiveModule]:
    """The values of :func:`adaptive_modules`, without looking for their names."""
    modules = all_modules(model)
    adaptive = [module for module in modules if isinstance(module, AdaptiveModule)]
    if adaptive:
        refuse_flat(modules)
    return adaptive
