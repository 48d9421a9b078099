"""A matplotlib figure as an SVG element inside a page: the page's colours and fonts, tooltips, no ids in common."""

import io
import re
from itertools import count
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from autorf.reporting.theme import PALETTE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_TIP = "tip:"
_NUMBERS = count()


def tooltip(artist: "Artist", text: str) -> None:
    """Show ``text`` while the pointer rests on ``artist``."""
    artist.set_gid(f"{_TIP}{text}")


def inline_svg(figure: "Figure", label: str, css_class: str) -> str:
    """``figure`` as one ``<svg>`` element.

    Args:
        figure: drawn with the colours of :data:`autorf.reporting.theme.PALETTE`, which become the page's CSS variables.
        label: what a screen reader says in its place.
        css_class: of the element.
    """
    from matplotlib import rc_context

    prefix = f"f{next(_NUMBERS)}-"
    content = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(content, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(content.getvalue())
    for useless in ("metadata",):
        for element in root.findall(f"{_SVG}{useless}"):
            root.remove(element)
    for element in list(root.iter()):
        _to_page(element, prefix)
    box = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": label, "class": css_class})
    return ElementTree.tostring(root, encoding="unicode")


def _to_page(element: ElementTree.Element, prefix: str) -> None:
    """Plain HTML names, prefixed ids, CSS variables for colours, a title for a tooltip."""
    element.tag = element.tag.removeprefix(_SVG)
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        plain = name.removeprefix(_XLINK)
        element.attrib[plain] = _recoloured(_own_references(plain, value, prefix))
    identifier = element.attrib.pop("id", "").removeprefix(prefix)
    if identifier.startswith(_TIP):
        title = ElementTree.Element("title")
        title.text = identifier.removeprefix(_TIP)
        element.insert(0, title)
        element.set("class", "tip")
    elif identifier and element.tag in ("path", "clipPath"):
        element.set("id", prefix + identifier)


def _own_references(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        return value.replace("#", f"#{prefix}", 1)
    return value.replace("url(#", f"url(#{prefix}")


_NAMES = {code: f"var(--{name})" for name, code in PALETTE.items()}
_CODE = re.compile("|".join(_NAMES), re.IGNORECASE)


def _recoloured(value: str) -> str:
    return _CODE.sub(lambda match: _NAMES[match[0].lower()], value)
