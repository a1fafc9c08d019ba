"""The coordinate modes of an exported model's Resize, RoiAlign and GridSample nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from d2align.audit.onnx_meaning import Call, record_calls
from d2align.audit.onnx_modes import Node, difference_px, read_node
from d2align.audit.onnx_read import read_nodes
from d2align.audit.record import Finding, status_of


def audit_onnx(graph: Any, expected: Mapping[str, str] | None = None) -> list[Finding]:
    """Return what the nodes of an ONNX graph sample, and how far that is off d2align's rules.

    The modes that an old operator set leaves out count as what it defines: Resize and Upsample
    before opset 11 sample grid 3, RoiAlign before opset 16 takes no half pixel off its boxes.

    Args:
        graph: the file, or an ``onnx.ModelProto``.
        expected: what the model meant: a convention for a node's name or for an operator, such
            as {"RoiAlign": "unaligned"}; a node that agrees counts as aligned.

    Returns:
        One finding for each node that samples, in the graph's order; their kinds are "onnx" and
        the operator.

    Raises:
        ValueError: no such file or no ONNX graph, an expected name that no node has or a
            convention that it cannot have, or the package onnx is missing.
    """
    nodes = read_nodes(graph)
    wanted = dict(expected or {})
    names = {node.name for node in nodes} | {node.op for node in nodes}
    for name in wanted:
        if name not in names:
            raise ValueError(f"expected: got {name!r}, expected one of {', '.join(sorted(names))}")
    return [_finding(node, wanted.get(node.name, wanted.get(node.op))) for node in nodes]


def audit_export(graph: Any, model: Any, inputs: Sequence[Any]) -> list[Finding]:
    """Return how the nodes of an exported graph differ from what the torch model does.

    The model runs once; its resizes, RoIAligns and grid samplings are matched with the graph's
    nodes in order.

    Args:
        graph: the file, or an ``onnx.ModelProto``.
        model: the module or function that was exported.
        inputs: its arguments.

    Returns:
        As ``audit_onnx``, where "aligned" means: as in the model. If they cannot be matched, one
        "failed" finding for each operator says so.

    Raises:
        ValueError: as ``audit_onnx``.
    """
    nodes, calls = read_nodes(graph), record_calls(model, inputs)
    findings = []
    for op in dict.fromkeys([*(_kind(node) for node in nodes), *(call.op for call in calls)]):
        own = [node for node in nodes if _kind(node) == op]
        meant = _match(own, [call for call in calls if call.op == op])
        if meant is None:
            made = [call.convention for call in calls if call.op == op]
            findings.append(_unmatched(op, len(own), made))
        else:
            findings += [_finding(n, wanted) for n, wanted in zip(own, meant, strict=True)]
    return findings


def _match(nodes: Sequence[Node], calls: Sequence[Call]) -> list[str] | None:
    """What the model meant by each node; None if calls and nodes do not correspond."""
    for candidates in (calls, [call for call in calls if not call.may_vanish]):
        if len(nodes) == len(candidates):
            return [call.convention for call in candidates]
    # A node in a loop stands for several calls: compare runs of one convention.
    meant = [name for name, _ in groupby(call.convention for call in calls)]
    runs = [len(list(run)) for _, run in groupby(read_node(node).convention for node in nodes)]
    if len(meant) != len(runs) or not nodes:
        return None
    return [name for name, length in zip(meant, runs, strict=True) for _ in range(length)]


def _kind(node: Node) -> str:
    return "Resize" if node.op == "Upsample" else node.op


def _finding(node: Node, wanted: str | None) -> Finding:
    reading = read_node(node)
    sentence, error = f"{reading.says}.", reading.error_px
    status = status_of(error)
    if reading.convention == "unknown":
        status = "unknown"
    elif wanted is not None:
        error = difference_px(node, reading.convention, wanted)
        status = status_of(error)
        meant = f"The model meant {wanted}"
        sentence = f"{meant}, as the graph has it." if error == 0 else f"{meant}. {sentence}"
    return Finding(
        kind=f"onnx {node.op}",
        subject=node.name,
        convention=reading.convention,
        status=status,
        sentence=sentence,
        error_px=None if status == "unknown" else error,
        residual_px=0.0,
        parameters={
            "opset": node.opset,
            "in_size": node.in_size,
            "scale": node.scale,
            "attributes": dict(node.attributes),
        },
    )


def _unmatched(op: str, nodes: int, meant: Sequence[str]) -> Finding:
    return Finding(
        kind=f"onnx {op}",
        subject=f"{nodes} nodes",
        convention="none",
        status="failed",
        sentence=f"The graph has {nodes} of them, the model made {len(meant)} calls"
        f" ({', '.join(meant) or 'none'}): compare the findings of audit_onnx by hand.",
    )
