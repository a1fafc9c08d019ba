"""Files that are nearly good: bytes exchanged, cut and doubled; JSON trees with odd places."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

_ODD_JSON = (
    *(None, True, -1, 0, 0.5, 1e308, 10**30, float("nan"), float("inf"), "", "a", "1"),
    *([], {}, [[]], [None], {"a": 1}, [1e9, -1e9, 0, 0], "9" * 40, [[1, 2, 3]]),
)


@st.composite
def mutated_bytes(draw: DrawFn, original: bytes) -> bytes:
    """Some bytes flipped, inserted, removed or repeated, or the end cut off."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 12))
        how = draw(st.integers(0, 5))
        if how == 0 and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            data[at : at + length] = draw(st.binary(max_size=12))
        elif how == 2:
            del data[at : at + length]
        elif how == 3:
            data[at:at] = data[at : at + length] * draw(st.integers(1, 40))
        elif how == 4:
            other = draw(st.integers(0, max(len(data) - 1, 0)))
            data[at : at + length] = data[other : other + length]
        else:
            del data[at:]
    return bytes(data)


@st.composite
def mutated_tree(draw: DrawFn, original: Any) -> Any:
    """A JSON value in which some places hold something odd, or are gone."""
    tree = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        parent, key = _place(draw, tree)
        if parent is None:
            return draw(st.sampled_from(_ODD_JSON))
        if draw(st.integers(0, 3)) == 0:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(draw(st.sampled_from(_ODD_JSON)))
    return tree


def _place(draw: DrawFn, tree: Any) -> tuple[Any, Any]:
    """A place of the tree: what holds it, and its key there."""
    parent, key, node = None, None, tree
    for _ in range(draw(st.integers(0, 6))):
        if not isinstance(node, dict | list) or not node:
            break
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        parent, key = node, draw(st.sampled_from(keys))
        node = node[key]
    return parent, key


def mutated_json(original: Any) -> Any:
    """The bytes of a JSON file: odd places, odd bytes, or neither."""
    text = json.dumps(original).encode()
    trees = mutated_tree(original).map(lambda tree: json.dumps(tree).encode())
    return trees | mutated_bytes(text) | st.just(text)
