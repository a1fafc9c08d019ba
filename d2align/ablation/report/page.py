"""What a report page is made of, whatever it is set in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """Text that leads to its source.

    Attributes:
        text: what is read.
        url: where it leads; "" for plain text.
    """

    text: str
    url: str = ""


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        header: names of the columns.
        rows: as many cells each.
        caption: what the numbers are.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        name: of its file, without the suffix.
        png: its bytes.
        alt: what it shows, in words.
    """

    name: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Sentences, one below the other."""

    items: tuple[str, ...]


Block = str | Table | Figure | Code | Bullets


@dataclass(frozen=True)
class Section:
    """A part of a page: a title and blocks, of which a plain string is a paragraph."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]
