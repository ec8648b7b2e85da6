"""Pages of one file: templates that escape whatever they are given, and pictures inside the page."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from molweight.utils.formats import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_page(package: str, name: str, **values: object) -> str:
    """A page from ``templates/<name>.jinja`` of a package, which may build on ``molweight/templates``.

    Args:
        package: dotted name.
        name: of the page, such as ``report.html``.
        values: what the template shows; text is escaped, and what it asks for in vain is an error.
    """
    return _environment(package, autoescape=True).get_template(f"{name}.jinja").render(**values)


def render_markdown(package: str, name: str, **values: object) -> str:
    """The same for a Markdown file: text goes through the filters ``cell`` and ``line``, not through HTML's.

    Sections are one empty line apart, however many the template leaves.
    """
    text = _environment(package, autoescape=False).get_template(f"{name}.jinja").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment(package: str, *, autoescape: bool) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("molweight")]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def from_markdown(text: str) -> Markup:
    """Markdown with tables as HTML for a template; HTML inside it is text, and so are links that run."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    converter = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(converter.render(text))


def for_notebooks(text: str) -> str:
    """Markdown as HTML whose headings do not drown those around it, without pictures that lie elsewhere."""
    lines = [line for line in text.splitlines() if not line.startswith("![")]
    shown = [f"**{line.lstrip('# ')}**" if line.startswith("#") else line for line in lines]
    return str(from_markdown("\n".join(shown)))


def svg_address(svg: bytes | str) -> str:
    """An SVG picture as an address; in an image no script runs. Empty for no picture."""
    content = svg.encode() if isinstance(svg, str) else svg
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode() if content else ""
