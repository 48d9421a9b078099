"""Colours, marks and sizes of every figure; the page's style sheet gives the colours their dark twins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from autorf.methods import METHODS, is_manual

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = {
    "ink": "#1b1f24",
    "muted": "#5b6570",
    "grid": "#e3e7ec",
    "surface": "#fdfdfc",
    "manual": "#0069a8",
    "inflation": "#c24e00",
    "learned-dilation": "#00805e",
    "scale-adaptive": "#a83f8c",
    "pixel-adaptive": "#8a6a00",
    "other": "#6b4fbb",
    "other-2": "#b3365b",
    "other-3": "#2f6f7e",
    "other-4": "#6d6a2e",
}
"""Colours by their name in the style sheet; all distinct, since a drawing is recoloured by its colours.

The methods' hues are those of Okabe and Ito's set for colour-blind readers, darkened to 4.5:1 on the page's ground;
every method has a mark of its own as well, so that nothing is told by colour alone.
"""

_LOOKS = {
    "baseline": ("muted", "_"),
    "dilation": ("manual", "o"),
    "inflation": ("inflation", "^"),
    "learned_dilation": ("learned-dilation", "D"),
    "scale_adaptive": ("scale-adaptive", "s"),
    "pixel_adaptive": ("pixel-adaptive", "P"),
}
_OTHER_LOOKS = (("other", "X"), ("other-2", "v"), ("other-3", "*"), ("other-4", "h"))
"""Of methods that other packages add, by their place among all that are installed, and over again."""


@dataclass(frozen=True)
class Layout:
    """The size of a drawing in pixels of the page, and what fits into it.

    A figure is drawn once for each layout, because text that is shrunk with its figure cannot be read on a phone.
    """

    name: str
    width: int
    height: int
    font_size: float

    @property
    def narrow(self) -> bool:
        """Whether this is for a phone."""
        return self.name == "narrow"


WIDE = Layout("wide", 920, 400, 13)
NARROW = Layout("narrow", 350, 330, 12)
LAYOUTS = (WIDE, NARROW)


def drawing(function: "Callable[..., Figure]") -> "Callable[..., Figure]":
    """Run a drawing function, which takes a keyword ``layout``, with texts of that layout's size and colours."""

    @wraps(function)
    def styled(*args: Any, layout: Layout = WIDE, **options: Any) -> "Figure":
        from matplotlib import rc_context

        with rc_context(_style(layout)):
            return function(*args, layout=layout, **options)

    return styled


def tone(method: str) -> str:
    """The name of a method's colour in the style sheet."""
    return _look(method)[0]


def colour(method: str) -> str:
    """The colour of a method's lines and marks."""
    return PALETTE[tone(method)]


def mark(method: str) -> str:
    """The mark of a method's points, in matplotlib's letters."""
    return _look(method)[1]


def _look(method: str) -> tuple[str, str]:
    if method in _LOOKS:
        return _LOOKS[method]
    others = [name for name in METHODS if name not in _LOOKS]
    place = others.index(method) if method in others else 0
    return _OTHER_LOOKS[place % len(_OTHER_LOOKS)]


def new_figure(layout: Layout, rows: int = 1, columns: int = 1, *, height: float | None = None, **options: Any) -> Any:
    """A matplotlib figure of ``layout`` and its ``(rows, columns)`` array of styled axes; 72 dots are an inch.

    The figure belongs to no window system: it can be drawn anywhere and is freed with its last reference.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(layout.width / 72, (height or layout.height) / 72), dpi=72, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        style(axis)
    return figure, axes


def style(axes: "Axes") -> None:
    """Quiet axes: a faint horizontal grid behind the data, and no box."""
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=PALETTE["grid"], linewidth=1)
    for spine in ("top", "right", "left"):
        axes.spines[spine].set_visible(False)
    axes.spines["bottom"].set_color(PALETTE["muted"])
    axes.tick_params(length=0, pad=5, labelcolor=PALETTE["muted"])
    axes.tick_params(axis="x", length=4, color=PALETTE["muted"])


def legend(figure: "Figure", handles: list[Any], layout: Layout) -> None:
    """A legend above the drawing, wrapped to its width."""
    columns = min(2 if layout.narrow else 6, len(handles))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, frameon=False, handlelength=1.6, columnspacing=1.4
    )


def method_handle(method: str, label: str, *, line: bool = False) -> Any:
    """What a legend shows of a method: its mark, and where it is drawn as one its line."""
    from matplotlib.lines import Line2D

    width = 2 if line else 0
    return Line2D([], [], color=colour(method), marker=mark(method), markersize=7, linewidth=width, label=label)


def method_handles(methods: Iterable[str]) -> list[Any]:
    """A handle for each method; of manual ones with a line."""
    return [method_handle(method, method, line=is_manual(method)) for method in dict.fromkeys(methods)]


def _style(layout: Layout) -> Any:
    return {
        "font.size": layout.font_size,
        "axes.labelcolor": PALETTE["ink"],
        "axes.labelsize": layout.font_size,
        "axes.titlesize": layout.font_size,
        "axes.facecolor": "none",
        "figure.facecolor": PALETTE["surface"],
        "legend.fontsize": layout.font_size,
        "text.color": PALETTE["ink"],
        "xtick.labelsize": layout.font_size,
        "ytick.labelsize": layout.font_size,
    }
