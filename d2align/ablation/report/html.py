"""A page as one HTML file that needs nothing else."""

from __future__ import annotations

import base64

from d2align.ablation.report.page import Bullets, Code, Figure, Link, Page, Table


def html(page: Page) -> str:
    """Return a page in HTML, its pictures within; everything in it is escaped.

    Args:
        page: the page.

    Returns:
        Text.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("d2align.ablation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests.update(
        table=lambda block: isinstance(block, Table),
        figure=lambda block: isinstance(block, Figure),
        bullets=lambda block: isinstance(block, Bullets),
        code=lambda block: isinstance(block, Code),
        link=lambda cell: isinstance(cell, Link) and bool(cell.url),
    )
    environment.filters.update(base64=_base64, text=_text)
    text: str = environment.get_template("page.html.j2").render(page=page)
    return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _text(cell: str | Link) -> str:
    return cell.text if isinstance(cell, Link) else cell
