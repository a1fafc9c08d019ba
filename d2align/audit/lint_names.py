"""What names in source code stand for: imported functions, box arrays, image sizes, constants."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# The last word of a name says what it holds: `gt_boxes` are boxes, `box_labels` are not.
_GEOMETRY = {
    *("box", "bbox", "roi", "rect", "proposal", "anchor", "xyxy", "xywh"),
    *("polygon", "poly", "keypoint", "kp", "kpt", "contour"),
}
_SIZE = {"width", "height", "w", "h"}
_UPPER_OF_LOWER = {"2": "1", "1": "0", "max": "min", "right": "left", "bottom": "top"}
_CORNER = {"rb": "lt", "br": "tl"}
# Methods and functions that return the same numbers, or nearly.
_SAME_NUMBERS = {"clone", "copy", "cpu", "detach", "numpy", "float", "double", "contiguous"}
_ROUNDED = {"round", "rint", "around"}
_WRAPPERS = {"array", "asarray", "tensor", "as_tensor", "from_numpy", "stack", "float32"}
_VIEWS = {"tensor", "data", "T"}


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Return the full dotted name behind each name that a module imports.

    Args:
        tree: the module.

    Returns:
        For `import torch.nn.functional as F`, {"F": "torch.nn.functional"}.
    """
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                names[alias.asname or alias.name] = f"{base}.{alias.name}"
    return names


def dotted(node: ast.expr, imports: dict[str, str]) -> str:
    """Return the full dotted name of an expression; "" if it is not one.

    Args:
        node: such as `F.interpolate`.
        imports: of ``imported_names``.

    Returns:
        Such as "torch.nn.functional.interpolate".
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([imports.get(node.id, node.id), *reversed(parts)])


def words(name: str) -> list[str]:
    """Return the lower-case words of a name, numbers of their own: `gtBoxes_2` is gt, boxes, 2."""
    found = re.findall(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return [word.lower() for word in found]


def noun(name: str) -> str:
    """Return the last word of a name in the singular, numbers left out."""
    plain = [word for word in words(name) if not word.isdigit()]
    last = plain[-1] if plain else ""
    if last.endswith("xes"):
        return last[:-2]
    return last[:-1] if last.endswith("s") and len(last) > 2 else last


def base_name(node: ast.expr) -> str:
    """Return the name that an expression's numbers come from; "" if there is none.

    Args:
        node: such as `np.array(gt_boxes.clone()[:, 2])`.

    Returns:
        Such as "gt_boxes".
    """
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return base_name(node.value) if node.attr in _VIEWS else node.attr
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
        return base_name(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in _WRAPPERS | _ROUNDED and node.args:
            return base_name(node.args[0])
        if node.func.attr in _SAME_NUMBERS | _ROUNDED:
            return base_name(node.func.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return base_name(node.left)
    return ""


def is_geometry(node: ast.expr) -> bool:
    """Whether an expression is named as boxes, polygons or keypoints are."""
    column, name = _last_index(node), noun(base_name(node))
    if column is not None and (column not in (0, 1, 2, 3) or (name == "roi" and column == 0)):
        return False  # a score, a label, a batch index
    return name in _GEOMETRY


def is_coordinate(node: ast.expr) -> bool:
    """Whether an expression is named as coordinates are: geometry, or x, y2, oldx1, xmax."""
    return is_geometry(node) or bool(_axis(base_name(node)))


def is_size(node: ast.expr) -> bool:
    """Whether an expression is named as an image's width or height is."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute | ast.Name):
        return noun(base_name(node.value)) in {"shape", "size"}
    if isinstance(node, ast.Attribute | ast.Name):
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        return bool(_SIZE & set(words(name)))
    return False


def is_one(node: ast.expr) -> bool:
    """Whether an expression is the 1 of inclusive indices: 1, 1.0 or TO_REMOVE."""
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float) and node.value == 1
    return isinstance(node, ast.Name) and node.id == "TO_REMOVE"


def are_opposite_edges(upper: ast.expr, lower: ast.expr) -> bool:
    """Whether two expressions are named as the far and the near edge of one box are.

    Args:
        upper: such as `x2`, `xmax` or `boxes[:, 2]`.
        lower: such as `x1`, `xmin` or `boxes[:, 0]`.

    Returns:
        True for a pair along one axis.
    """
    if isinstance(upper, ast.Subscript) and isinstance(lower, ast.Subscript):
        same = ast.dump(upper.value) == ast.dump(lower.value)
        pair = (_last_index(upper), _last_index(lower))
        return same and (pair in ((2, 0), (3, 1)) or _are_corner_slices(upper, lower))
    if isinstance(upper, ast.Subscript):
        return _last_index(upper) in (2, 3) and bool(_axis(base_name(lower)))
    return _are_opposite_names(base_name(upper), base_name(lower))


def _are_opposite_names(upper: str, lower: str) -> bool:
    far, near = _edge_words(upper), _edge_words(lower)
    if len(far) != len(near):
        return False
    differ = [(a, b) for a, b in zip(far, near, strict=True) if a != b]
    if len(differ) != 1:
        return False
    a, b = differ[0]
    if _CORNER.get(a) == b or (a in ("right", "bottom") and _UPPER_OF_LOWER[a] == b):
        return True
    return _UPPER_OF_LOWER.get(a) == b and bool({"x", "y"} & set(far))


def _edge_words(name: str) -> list[str]:
    """Words with axis and edge apart: `ixmax` is i, x, max; `bb_x2` is bb, x, 2."""
    split = re.sub(r"(x|y)(max|min)", r"_\1_\2", name.lower())
    return words(re.sub(r"(max|min)(x|y)", r"_\1_\2", split))


def _axis(name: str) -> str:
    """The axis of a coordinate's name; "" if it is not one."""
    match = re.fullmatch(
        r"(?:old|new|flip(?:ped)?|gt|box|bb|i|c)?_?([xy])_?(?:\d|max|min)?s?", name
    )
    return match.group(1) if match else ""


def _last_index(node: ast.expr) -> int | None:
    """The constant last index of a subscript, as in `boxes[:, 2]` or `box[2]`."""
    if not isinstance(node, ast.Subscript):
        return None
    key = node.slice
    if isinstance(key, ast.Tuple) and key.elts:
        key = key.elts[-1]
    if isinstance(key, ast.Slice) and key.step is not None:
        key = key.lower or ast.Constant(0)  # boxes[:, 2::4]
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, int) else None


def _are_corner_slices(upper: ast.Subscript, lower: ast.Subscript) -> bool:
    """Whether subscripts take the far and the near corner, as [:, 2:4] and [:, 0:2] do."""
    return _bounds(upper) in ((2, 4), (2, None)) and _bounds(lower) in ((0, 2), (None, 2))


def _bounds(node: ast.Subscript) -> tuple[int | None, int | None] | None:
    key = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
    if not isinstance(key, ast.Slice) or key.step is not None:
        return None
    low, high = (getattr(edge, "value", None) for edge in (key.lower, key.upper))
    return low, high


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """Yield every call under a node."""
    return (child for child in ast.walk(node) if isinstance(child, ast.Call))
