"""The report as text and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from d2align.ablation.price.arms import ALL_AREAS
from d2align.ablation.price.sections import Section

_TITLE = "The price of a pixel"


def introduction(content: Mapping[str, Any]) -> str:
    """Return what was measured on what, in a paragraph.

    Args:
        content: of a price.json.

    Returns:
        Text.
    """
    objects = content["objects"]
    sizes = ", ".join(f"{objects[area]} {area}" for area in ALL_AREAS[1:])
    settings = content["settings"]
    return (
        f"{content['images']} images, {objects['all']} objects ({sizes}). Differences in AP "
        f"points, with {content['confidence']:.0%} intervals from {settings['num_draws']} paired "
        f"resamples of the images (seed {settings['seed']}): they speak of other images, not of "
        "other networks. An interval that holds 0 is not resolved."
    )


def markdown(content: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """Return the whole report in Markdown.

    Args:
        content: of a price.json.
        sections: the tables.

    Returns:
        A page.
    """
    lines = [f"# {_TITLE}", "", introduction(content), ""]
    for section in sections:
        table = tabulate(section.rows, section.header, tablefmt="github", disable_numparse=True)
        lines += [f"## {section.title}", "", section.text, "", table, ""]
    lines += [*(f"- {note}" for note in content["notes"]), *_made_with(content)]
    return "\n".join([*lines, ""])


def terminal(content: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """Return the report without its long tables as plain text.

    Args:
        content: of a price.json.
        sections: the tables.

    Returns:
        Text.
    """
    lines = ["", introduction(content), ""]
    for section in sections:
        if section.brief:
            table = tabulate(section.rows, section.header, tablefmt="simple", disable_numparse=True)
            lines += [section.title, "", table, ""]
    return "\n".join([*lines, *content["notes"]])


def _made_with(content: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in content["environment"].items())
    files = ", ".join(
        f"{role} {source['file']} (SHA-256 {source['sha256'][:12]})"
        for role, source in content["inputs"].items()
    )
    return [f"- Inputs: {files}.", f"- d2align {content['code']}; {versions}."]
