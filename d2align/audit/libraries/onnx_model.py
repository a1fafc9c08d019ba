"""ONNX models of one node, written by hand: protocol buffers need no library to be written."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

FLOAT, INT64 = 1, 7
_VARINT, _LENGTH, _FIXED32 = 0, 2, 5
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_STRING = 1, 2, 3
_IR_VERSION = 8


def one_node_model(
    op: str,
    opset: int,
    inputs: Sequence[tuple[str, int, Sequence[int | None]]],
    attributes: Mapping[str, float | int | str],
    arguments: Sequence[str],
    output_rank: int,
) -> bytes:
    """Return the bytes of an ONNX model with one node and the float output "y".

    Args:
        op: the node's type, such as "Resize".
        opset: version of the standard operators.
        inputs: name, element type (FLOAT or INT64) and shape of each input of the model; None
            for a side that is free.
        attributes: of the node.
        arguments: the node's inputs by name, "" for one left out.
        output_rank: of "y".

    Returns:
        A serialised ModelProto.
    """
    node = b"".join(_text(1, name) for name in arguments) + _text(2, "y") + _text(4, op)
    node += b"".join(_message(5, _attribute(k, v)) for k, v in attributes.items())
    graph = _message(1, node) + _text(2, "one node")
    graph += b"".join(_message(11, _value(*given)) for given in inputs)
    graph += _message(12, _value("y", FLOAT, [None] * output_rank))
    version = _text(1, "") + _number(2, opset)
    return _number(1, _IR_VERSION) + _message(7, graph) + _message(8, version)


def _attribute(name: str, value: float | int | str) -> bytes:
    head = _text(1, name)
    if isinstance(value, str):
        return head + _text(4, value) + _number(20, _ATTRIBUTE_STRING)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    packed = _key(2, _FIXED32) + struct.pack("<f", value)
    return head + packed + _number(20, _ATTRIBUTE_FLOAT)


def _value(name: str, element: int, shape: Sequence[int | None]) -> bytes:
    """A ValueInfoProto of a tensor; a free side gets a name."""
    sides = b"".join(
        _message(1, _text(2, f"{name}{i}") if side is None else _number(1, side))
        for i, side in enumerate(shape)
    )
    tensor = _number(1, element) + _message(2, sides)
    return _text(1, name) + _message(2, _message(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, payload: bytes) -> bytes:
    return _key(field, _LENGTH) + _varint(len(payload)) + payload


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
