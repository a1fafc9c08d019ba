"""The nodes of an ONNX graph that sample, with what their operator set and constants say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from d2align.audit.onnx_modes import Node, is_sampler

# Constants of more elements than this are weights.
_SMALL = 64
# No map has more cells a side, and no resize scales by more.
_LARGEST = 2**14


@dataclass
class _Known:
    """What a graph fixes: small constants, shapes, and which node makes a value."""

    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, list[int | None]] = field(default_factory=dict)
    makers: dict[str, Any] = field(default_factory=dict)


def read_nodes(graph: Any) -> list[Node]:
    """Return the nodes of a graph that sample, those of subgraphs and functions included.

    Args:
        graph: the file, or an ``onnx.ModelProto``.

    Returns:
        The nodes in the graph's order, each with a name of its own.

    Raises:
        ValueError: no such file or no ONNX graph, or the package onnx is missing.
    """
    model = _load(graph)
    opset = _opset(model, 1)
    try:
        nodes = list(_walk(model.graph, opset, _Known()))
        for function in model.functions:
            nodes += _walk(function, _opset(function, opset), _Known())
    except Exception as e:  # a constant without its numbers, a node without its inputs, ...
        raise ValueError(f"graph: got one that is damaged ({type(e).__name__}: {e})") from e
    seen: Counter[str] = Counter()
    named = []
    for node in nodes:
        seen[node.name] += 1
        ordinal = f"#{seen[node.name]}" if seen[node.name] > 1 else ""
        named.append(replace(node, name=node.name + ordinal))
    return named


def _load(graph: Any) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as e:
        raise ValueError(
            "onnx: the package is not installed, expected it to read graphs with: pip install onnx"
        ) from e
    if isinstance(graph, onnx.ModelProto):
        model = graph
    else:
        path = Path(graph)
        if not path.is_file():
            raise ValueError(f"graph: got {str(graph)!r} (no such file), expected an ONNX file")
        try:  # the weights do not matter
            model = onnx.load(str(path), load_external_data=False)
        except Exception as e:  # protobuf's own error class is not public
            raise ValueError(f"graph: {str(graph)!r} is no ONNX file: {e}") from e
    if not model.opset_import or not model.graph.node:
        raise ValueError("graph: got an ONNX model without nodes, expected an exported model")
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # too large for one message, or an operator it does not know
        return model


def _opset(holder: Any, default: int) -> int:
    versions = [o.version for o in holder.opset_import if o.domain in ("", "ai.onnx")]
    return versions[0] if versions else default


def _walk(graph: Any, opset: int, outer: _Known) -> Iterator[Node]:
    """The sampling nodes of a graph, a function or a subgraph, and of those inside it."""
    import onnx

    known = _known(graph, outer)
    for node in graph.node:
        if node.op_type == "Constant":
            value = [a.t for a in node.attribute if a.name == "value"]
            if value:
                _keep(known, node.output[0], value[0])
        if node.domain in ("", "ai.onnx") and is_sampler(node.op_type):
            yield _read(node, opset, known)
        for attribute in node.attribute:
            inner = [*attribute.graphs]
            if attribute.type == onnx.AttributeProto.GRAPH:
                inner.append(attribute.g)
            for subgraph in inner:
                yield from _walk(subgraph, opset, known)


def _known(graph: Any, outer: _Known) -> _Known:
    known = _Known(dict(outer.constants), dict(outer.shapes), dict(outer.makers))
    for tensor in getattr(graph, "initializer", ()):
        _keep(known, tensor.name, tensor)
    values = [*graph.value_info]
    if hasattr(graph, "initializer"):  # a function's inputs have names only
        values += [*graph.input, *graph.output]
    for value in values:
        shape = value.type.tensor_type.shape
        known.shapes[value.name] = [
            d.dim_value if d.HasField("dim_value") else None for d in shape.dim
        ]
    known.makers.update({name: node for node in graph.node for name in node.output})
    return known


def _keep(known: _Known, name: str, tensor: Any) -> None:
    import onnx

    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    if not external and np.prod(tensor.dims, dtype=np.float64) <= _SMALL:
        known.constants[name] = onnx.numpy_helper.to_array(tensor)


def _text(name: str | bytes) -> str:
    """A name, which protobuf leaves as bytes where it is no UTF-8."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def _read(node: Any, opset: int, known: _Known) -> Node:
    attributes = {a.name: _value(a) for a in node.attribute}
    in_size, scale = _sizes(node, attributes, known)
    return Node(
        op=node.op_type,
        name=_text(node.name) or node.op_type,
        opset=opset,
        attributes=attributes,
        in_size=in_size,
        scale=scale,
        shifted=_shift(node, known) if node.op_type == "RoiAlign" else 0.0,
    )


def _value(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if isinstance(value, list | tuple) else value


def _sizes(
    node: Any, attributes: Mapping[str, Any], known: _Known
) -> tuple[int | None, float | None]:
    """The input's width and the scale of a resize, where the graph fixes them."""
    if node.op_type not in ("Resize", "Upsample"):
        return None, None
    before, after = (known.shapes.get(n, []) for n in (node.input[0], node.output[0]))
    in_size = before[-1] if before else None
    inputs = [known.constants.get(name) for name in node.input]
    scales = attributes.get("scales", inputs[2] if len(inputs) > 2 else None)
    if len(inputs) == 2:  # until opset 10
        scales = inputs[1]
    if in_size is not None and not 1 <= in_size <= _LARGEST:
        in_size = None
    if scales is not None and np.size(scales):
        return in_size, _plausible(float(np.ravel(scales)[-1]))
    sizes = inputs[3] if len(inputs) > 3 else None
    out_size = int(np.ravel(sizes)[-1]) if sizes is not None else (after[-1] if after else None)
    return in_size, _plausible(out_size / in_size) if in_size and out_size else None


def _plausible(scale: float) -> float | None:
    return scale if 1 / _LARGEST <= scale <= _LARGEST else None


def _shift(node: Any, known: _Known) -> float:
    """What a Sub (or an Add) just before a RoiAlign takes off its boxes."""
    maker = known.makers.get(node.input[1])
    while maker is not None and maker.op_type in ("Cast", "Identity"):
        maker = known.makers.get(maker.input[0])
    if maker is None or maker.op_type not in ("Sub", "Add"):
        return 0.0
    amount = _constant(maker.input[1], known)
    if amount is None or np.ptp(amount) > 0:
        return 0.0
    return float(np.ravel(amount)[0]) * (1.0 if maker.op_type == "Sub" else -1.0)


def _constant(name: str, known: _Known) -> np.ndarray | None:
    value = known.constants.get(name)
    return value if value is not None and value.size and value.dtype.kind == "f" else None
