"""Figures as images inside a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molweight.reporting import figures
from molweight.utils.pages import svg_address

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCH = 96  # px of a page


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the page.

    Args:
        title: above it.
        alt: what it shows, for those who cannot see it.
        data: an address that holds the picture itself.
        width: px.
        caption: below it.
    """

    title: str
    alt: str
    data: str
    width: int
    caption: str = ""


def picture_of(figure: Figure, title: str, alt: str, caption: str = "") -> Picture:
    """A figure that is drawn already."""
    width = int(figure.get_size_inches()[0] * INCH)
    data = svg_address(figures.encoded(figure, kind="svg"))
    return Picture(title=title, alt=alt, data=data, width=width, caption=caption)


def picture(
    title: str, alt: str, draw: Callable[[Axes], object], size: tuple[float, float], caption: str = ""
) -> Picture:
    """A figure as an image of its own."""
    width = int(size[0] * INCH)  # as large as its letters are meant
    data = svg_address(figures.drawn(draw, size=size))
    return Picture(title=title, alt=alt, data=data, width=width, caption=caption)
