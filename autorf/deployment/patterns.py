"""A receptive field as a small file: the dilation of each layer and the factor of each region, and where they fit."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from autorf.errors import InputError, near_names, shown_place
from autorf.fields import receptive_field
from autorf.files import write_atomically
from autorf.methods.dilation import Rate
from autorf.methods.modules import AdaptiveModule
from autorf.methods.region import ConstantRegion
from autorf.ops._arguments import check_module, check_path
from autorf.specification import PositiveFloat, Specification, WholeNumber, parse
from autorf.surgery import adaptations
from autorf.surgery.dry_run import input_channels
from autorf.surgery.swap import region_at
from autorf.surgery.verification import check_finished
from autorf.surgery.wrappers import named_modules, submodule, unwrapped

FILE = "pattern.json"
"""What a retrained model's folder calls it."""

VERSION = 1
"""Of the layout of the file; another one is refused."""

_PUBLISHED = Path(__file__).with_name("published")
_BETWEEN = " to "
_MOST_PLACES = 2**16


class Pattern(Specification):
    """A field that was found, or published, without the weights that go with it.

    Attributes:
        autorf_pattern: version of the layout of the file.
        rates: by the name of a convolution, its dilation ``(height, width)`` in pixels of the layer's map.
        f: by ``"first to last"``, the names of the modules at a region's ends, the factor ``(height, width)`` by which
            its map is resized.
        rf: the field of the network that it was found in, ``(height, width)`` in input pixels; None where it was not
            measured.
        model: that network, in words.
        source: who found it.

    Examples:
        >>> import autorf
        >>> autorf.Pattern(rates={"layer4.2.conv2": (4, 4)}).rates
        {'layer4.2.conv2': (4, 4)}
    """

    autorf_pattern: Annotated[WholeNumber, Field(ge=VERSION, le=VERSION)] = VERSION
    rates: dict[str, tuple[Rate, Rate]] = Field(default_factory=dict, max_length=_MOST_PLACES)
    f: dict[str, tuple[PositiveFloat, PositiveFloat]] = Field(default_factory=dict, max_length=_MOST_PLACES)
    rf: tuple[PositiveFloat, PositiveFloat] | None = None
    model: str | None = None
    source: str | None = None

    def save(self, path: str | Path) -> Path:
        """Write the pattern as JSON, which :func:`autorf.apply` and five lines of anybody's code read.

        Raises:
            InputError: where there is something else than a file.
        """
        check_path("Pattern.save", "path", path)
        write_atomically(Path(path), json.dumps(self.model_dump(mode="json", exclude_none=True), indent=1) + "\n")
        return Path(path)


def published() -> list[str]:
    """The names of the patterns that come with autorf.

    Examples:
        >>> published()
        ['deeplab_v3', 'drn_d_54', 'hdc', 'hdc_bigger', 'regseg', 'rf_next_deeplab_v3']
    """
    return sorted(path.stem for path in _PUBLISHED.glob("*.json"))


def read_pattern(pattern: "Pattern | Mapping[str, Any] | str | Path") -> Pattern:
    """A pattern of a file, of plain values, or of a published name.

    Raises:
        InputError: for a name or file that is not there, or that holds something else.
    """
    if isinstance(pattern, Pattern):
        return pattern
    if isinstance(pattern, Mapping):
        return _checked(dict(pattern), "pattern")
    check_path("apply", "pattern", pattern)
    path = _PUBLISHED / f"{pattern}.json" if str(pattern) in published() else Path(pattern)
    if not path.is_file():
        names = published()
        near = near_names(str(pattern), names)
        raise InputError(f"pattern {shown_place(str(pattern))}: no such file{near}; published are {', '.join(names)}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"pattern {shown_place(str(path))}: is no JSON: {error}") from None
    return _checked(values, shown_place(str(path)))


def _checked(values: Any, source: str) -> Pattern:
    if not isinstance(values, dict) or "autorf_pattern" not in values:
        raise InputError(f'{source}: is no pattern; one begins with {{"autorf_pattern": 1, "rates": ...}}')
    pattern = parse(Pattern, values, source)
    if not pattern.rates and not pattern.f:
        raise InputError(f"{source}: has neither rates nor f; give at least one layer's rate")
    return pattern


def pattern_of(model: nn.Module, image_size: int | tuple[int, int] | None = None) -> Pattern:
    """The field that an adapted model has now, by names without the prefixes of wrappers.

    Args:
        model: adapted, its training finished; frozen or not.
        image_size: side or ``(height, width)`` in pixels; if given, ``rf`` is measured at it.

    Raises:
        InputError: for a model that was not adapted, a search that is not over, or a method whose field differs from
            pixel to pixel.

    Examples:
        >>> import autorf
        >>> from torch import nn
        >>> model = autorf.adapt(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), autorf.Dilation(targets="0", rate=4))
        >>> autorf.pattern_of(nn.DataParallel(model), image_size=32)
        Pattern(autorf_pattern=1, rates={'0': (4, 4)}, f={}, rf=(9.0, 9.0), model='Sequential', source=None)
    """
    check_module("pattern_of", model)
    model = unwrapped(model)
    if not (done := adaptations(model)):
        raise InputError("pattern_of: the model was not adapted, so there is no pattern; call autorf.adapt first")
    check_finished(model)
    rates: dict[str, tuple[int, int]] = {}
    factors: dict[str, tuple[float, float]] = {}
    for adaptation in done:
        if adaptation.method.scope == "region":
            start, end = adaptation.names
            factors[f"{start}{_BETWEEN}{end}"] = _factor(start, region_at(submodule(model, start)))
        else:
            rates |= {name: _rate(name, submodule(model, name)) for name in adaptation.names}
    size = None if image_size is None else _measured(model, image_size)
    return Pattern(rates=rates, f=factors, rf=size, model=type(model).__name__)


def _plain(name: str, module: nn.Module) -> nn.Module:
    if not isinstance(module, AdaptiveModule):
        return module
    plain = module.frozen()
    if plain is None:
        raise InputError(f"pattern_of: {name!r} has no pattern: {module.unfolded_because}")
    return plain


def _rate(name: str, module: nn.Module) -> tuple[int, int]:
    plain = _plain(name, module)
    assert isinstance(plain, nn.Conv2d)
    return plain.dilation[0], plain.dilation[1]


def _factor(name: str, region: nn.Module) -> tuple[float, float]:
    plain = _plain(name, region)
    assert isinstance(plain, ConstantRegion)
    return plain.factor


def _measured(model: nn.Module, image_size: int | tuple[int, int]) -> tuple[float, float]:
    height, width = receptive_field(model, image_size, in_channels=input_channels(model)).size
    return float(height), float(width)


def fitted(pattern: Pattern, model: nn.Module) -> Pattern:
    """The same pattern by the names that ``model`` has for its layers.

    Names fit as they are; else as the ends of the model's names (``layer4.2.conv2`` for ``encoder.layer4.2.conv2``);
    else without the leading parts that all of them share, which the model it was found in stood inside.

    Raises:
        InputError: naming the layers that the model lacks, or those among which a name does not choose.
    """
    modules = dict(named_modules(unwrapped(model)))
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    ends = {end for title in pattern.f for end in _ends(title)}
    places = dict.fromkeys(pattern.rates, tuple(convolutions)) | dict.fromkeys(ends, tuple(modules))
    names = _without_shared(places) if _none_fits(places) else {name: _end(name, places[name]) for name in places}
    if missing := [name for name, own in names.items() if own is None]:
        near = near_names(missing[0], modules)
        raise InputError(
            f"the pattern does not fit the {type(model).__name__}: it has no convolution or module "
            f"{', '.join(map(repr, missing[:8]))}{' and more' if len(missing) > 8 else ''}{near}"
        )
    rates = {names[name] or name: rate for name, rate in pattern.rates.items()}
    factors = {_BETWEEN.join(names[end] or end for end in _ends(title)): factor for title, factor in pattern.f.items()}
    return pattern.model_copy(update={"rates": rates, "f": factors})


def _ends(title: str) -> tuple[str, str]:
    start, between, end = title.partition(_BETWEEN)
    if not (start and between and end):
        raise InputError(f"pattern f.{title!r}: a region is 'FIRST to LAST', the names of the modules at its ends")
    return start, end


def _end(name: str, available: Iterable[str]) -> str | None:
    """The one name that is ``name`` or ends with it; None where there is none."""
    available = list(available)
    if name in available:
        return name
    matched = [other for other in available if other.endswith(f".{name}")]
    if len(matched) > 1:
        raise InputError(
            f"the pattern's {name!r} fits {', '.join(map(repr, matched[:4]))}; write more of the name into the pattern"
        )
    return matched[0] if matched else None


def _none_fits(places: Mapping[str, Iterable[str]]) -> bool:
    return all(not any(other == name or other.endswith(f".{name}") for other in places[name]) for name in places)


def _without_shared(places: Mapping[str, Iterable[str]]) -> dict[str, str | None]:
    """Every name less the leading parts that all share, as few as make them all fit; None for each where none do."""
    parts = [name.split(".") for name in places]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
        names = {name: ".".join(name.split(".")[shared:]) for name in places}
        if all(own in places[name] for name, own in names.items()):
            return dict(names)
    return dict.fromkeys(places)
