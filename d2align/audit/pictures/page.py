"""One HTML page of all deviations of a card, which needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from d2align.audit.card import Card
from d2align.audit.deviations import Deviation, reason_for
from d2align.audit.pictures.draw import draw
from d2align.audit.probes import KINDS
from d2align.audit.record import Finding
from d2align.audit.table import groups


@dataclass(frozen=True)
class Entry:
    """One deviation as the page shows it: functions of one kind with one convention.

    Attributes:
        worst: the finding that is farthest off.
        picture: an SVG file in base64; "" if there is none.
        subjects: all the functions.
        reasons: why they are as they are, where that is known.
    """

    worst: Finding
    picture: str
    subjects: Sequence[str]
    reasons: Sequence[str]


def pictures_page(card: Card, deviations: Sequence[Deviation] = ()) -> str:
    """Return a page with a picture of each deviation.

    Args:
        card: what was measured.
        deviations: known ones, whose reasons are told.

    Returns:
        HTML; everything in it is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("d2align.audit.pictures", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    off = [f for f in card.findings if f.status != "aligned"]
    kinds = [*KINDS, *dict.fromkeys(f.kind for f in off if f.kind not in KINDS)]
    sections = {
        kind: [_entry(group, deviations) for group in groups([f for f in off if f.kind == kind])]
        for kind in kinds
    }
    text: str = environment.get_template("page.html.j2").render(
        sections={kind: entries for kind, entries in sections.items() if entries},
        versions=dict(sorted(card.versions.items())),
        aligned=len(card.findings) - len(off),
        count=len(card.findings),
    )
    return text


def _entry(group: Sequence[Finding], deviations: Sequence[Deviation]) -> Entry:
    # Positions that are rounded to pixels show less of a grid than those that are not.
    smooth = [f for f in group if f.parameters.get("kernel") != "nearest"]
    picture = draw((smooth or group)[0])
    return Entry(
        worst=group[0],
        picture=base64.b64encode(picture).decode() if picture else "",
        subjects=[f.subject for f in group],
        reasons=list(dict.fromkeys(filter(None, (reason_for(f, deviations) for f in group)))),
    )
