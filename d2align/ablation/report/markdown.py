"""A page in Markdown."""

from __future__ import annotations

from d2align.ablation.report.page import Block, Bullets, Cell, Code, Figure, Link, Page, Table


def markdown(page: Page) -> str:
    """Return a page in Markdown; pictures are looked for beside it.

    Args:
        page: the page.

    Returns:
        Text.
    """
    parts = [f"# {_escape(page.title)}", *(_block(block) for block in page.lead)]
    for section in page.sections:
        parts.append(f"## {_escape(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figure):
        return f"![{_escape(block.alt)}]({block.name}.png)"
    if isinstance(block, Code):
        return "\n".join(f"    {line}" for line in block.text.splitlines())
    if isinstance(block, Bullets):
        return "\n".join(f"- {_escape(item)}" for item in block.items)
    return _escape(block)


def _table(table: Table) -> str:
    lines = [_line(table.header), "|" + "---|" * len(table.header)]
    lines += [_line(row) for row in table.rows]
    caption = [_escape(table.caption), ""] if table.caption else []
    return "\n".join([*caption, *lines])


def _line(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Link) and cell.url:
        return f"[{_escape(cell.text)}]({cell.url})"
    return _escape(cell.text if isinstance(cell, Link) else cell)


def _escape(text: str) -> str:
    for mark, safe in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("*", "\\*"), ("`", "\\`")):
        text = text.replace(mark, safe)
    return text
