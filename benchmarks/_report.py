"""What was measured, as Markdown and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_OURS, _WIN, _LOSS, _PEER = "#1f5fa8", "#1f5fa8", "#c2571a", "#777777"


def environment_line(environment: dict[str, Any]) -> str:
    """Return one line that says what was measured on.

    Args:
        environment: as ``_timing.environment`` gives it.
    """
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    load = ", ".join(str(x) for x in environment["load_average"])
    return (
        f"{environment['processor']}, {environment['cores']} cores, "
        f"{environment['instructions']}; load at the end {load}; "
        f"Python {environment['python']}, {packages}."
    )


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return what benchmarks found as Markdown: ratios, curves and notes of each.

    Args:
        found: what the benchmarks returned.
    """
    return "\n\n".join("\n\n".join(_sections(one)) for one in found)


def _sections(one: dict[str, Any]) -> list[str]:
    parts = [f"### {one['title']}"]
    rows = [
        f"| {r['name']} | {r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}] | "
        f"{r['ours_ms']:.4g} | {r['peer_ms']:.4g} |"
        for r in one["rows"]
    ]
    if rows:
        head = "| what | times faster [5th, 95th percentile] | d2align, ms | peer, ms |"
        parts.append("\n".join([head, "|---|---|---|---|", *rows]))
    for curve in one.get("curves", ()):
        lines = [
            ("", *map(str, curve["x"])),
            ("---",) * (1 + len(curve["x"])),
            ("d2align, ms", *(f"{t:.3g}" for t in curve["ours_ms"])),
            ("peer, ms", *(f"{t:.3g}" for t in curve["peer_ms"])),
        ]
        grid = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"By {curve['title']}:\n\n{grid}")
    notes = [f"- {name}: {_short(value)}" for name, value in one.get("notes", {}).items()]
    return [*parts, "\n".join(notes)] if notes else parts


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def put_into_readme(path: Path, text: str) -> None:
    """Put text between the two markers of a file, which is written whole or not at all.

    Args:
        path: of the file.
        text: Markdown.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    before, *rest = path.read_text().split(BEGIN)
    if len(rest) != 1 or rest[0].count(END) != 1:
        raise ValueError(f"{path.name}: expected {BEGIN!r} and then {END!r}, once each")
    after = rest[0].split(END)[1]
    beside = path.with_name(path.name + ".partial")
    beside.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")
    beside.replace(path)


def draw_ratios(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw all ratios on a logarithmic scale, losses in another colour.

    Args:
        found: what the benchmarks returned.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    lines = [line for one in found if one["rows"] for line in (one["title"], *one["rows"])]
    figure = Figure(figsize=(10, 1.0 + 0.27 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for y, line in enumerate(lines):
        if not isinstance(line, str):
            _draw_ratio(axes, y, line)
    axes.axvline(1, color="#444444", lw=1)
    axes.set_xscale("log")
    names = [line if isinstance(line, str) else line["name"] for line in lines]
    for label, line in zip(
        axes.set_yticks(range(len(lines)), names, fontsize=8), lines, strict=True
    ):
        is_title = isinstance(line, str)
        label.label1.set_fontweight("bold" if is_title else "normal")
        label.tick1line.set_visible(not is_title)
    axes.set_ylim(len(lines) - 0.3, -0.7)
    axes.set_xlabel("times faster than the peer (log scale; left of the line is a loss)")
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=130)


def _draw_ratio(axes: Any, y: int, row: dict[str, Any]) -> None:
    colour = _WIN if row["ratio"] >= 1 else _LOSS
    axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=3, alpha=0.4)
    axes.plot(row["ratio"], y, "o", color=colour, ms=5)
    axes.annotate(
        f"{row['ratio']:.3g}",
        (row["high"], y),
        (6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def draw_curves(curves: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw what the cost grows with, a panel for each curve, both axes logarithmic.

    Args:
        curves: title, x, ours_ms and peer_ms of each.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    if not curves:
        return
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(4 * columns, 3.2 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, curve in zip(panels, curves, strict=False):
        axes.loglog(curve["x"], curve["peer_ms"], "s-", color=_PEER, label="peer")
        axes.loglog(curve["x"], curve["ours_ms"], "o-", color=_OURS, label="d2align")
        axes.set_xlabel(curve["title"], fontsize=8)
        axes.set_ylabel("CPU ms", fontsize=8)
        axes.set_xticks(curve["x"], [f"{x:g}" for x in curve["x"]], fontsize=7)
        axes.minorticks_off()
        axes.grid(color="#dddddd")
    for axes in panels[len(curves) :]:
        axes.remove()
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=130)
