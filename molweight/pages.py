"""Pages of one file: templates that escape whatever they are given, and pictures inside the page."""

from __future__ import annotations

import base64
from typing import Any


def render_page(package: str, name: str, **values: Any) -> str:
    """A page from ``templates/<name>.jinja`` of a package.

    Args:
        package: dotted name.
        name: of the page, such as ``report.html``.
        values: what the template shows; text is escaped, and what it asks for in vain is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.jinja").render(**values)


def svg_address(svg: bytes | str) -> str:
    """An SVG picture as an address; in an image no script runs. Empty for no picture."""
    content = svg.encode() if isinstance(svg, str) else svg
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode() if content else ""
