"""The linter's rules: what each looks for in a syntax tree, what it costs, and the fix."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from d2align.audit import lint_calls
from d2align.audit.lint_names import (
    are_opposite_edges,
    base_name,
    calls_in,
    dotted,
    imported_names,
    is_coordinate,
    is_geometry,
    is_one,
    is_size,
    words,
)

_DRAWING = {"draw", "paint", "plot", "show", "imshow", "render", "overlay", "display", "annotate"}
_DRAWING |= {"vis", "visualize", "visualise", "visualizer", "rectangle", "polylines", "text"}
# Lines within which contours become coordinates, if they do.
_SOON = 15
_INTEGER = re.compile(r"(u?int|long)\d*$")
_ROUNDING = {"round", "rint", "around"}


@dataclass
class Module:
    """A parsed file, with what a rule needs to know of a node's surroundings."""

    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.imports = imported_names(self.tree)
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def name(self, node: ast.expr) -> str:
        """The full dotted name of an expression; "" if it is not one."""
        return dotted(node, self.imports)

    def scope(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Module:
        """The function around a node, or the module."""
        while not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            node = self.parents[node]
        return node

    def is_drawing(self, node: ast.AST) -> bool:
        """Whether a node lies in a function that draws, by its name or the call around it."""
        scope = self.scope(node)
        names = [] if isinstance(scope, ast.Module) else [scope.name]
        while node is not scope:
            node = self.parents[node]
            names += [self.name(node.func)] if isinstance(node, ast.Call) else []
        return any(_DRAWING & set(words(name)) for name in names)


@dataclass(frozen=True)
class Rule:
    """One kind of mistake.

    Attributes:
        name: what an ignore comment calls it.
        node: the kind of node it looks at.
        matches: whether such a node of a module makes it.
        cost_px: pixels at stake, 0 if today's behaviour is right but unstated.
        says: what is wrong and by how much.
        fix: what to write.
    """

    name: str
    node: type[ast.AST]
    matches: Callable[[Any, Module], bool]
    cost_px: float
    says: str
    fix: str


def _index_flip(node: ast.BinOp, module: Module) -> bool:
    """(W - 1) - x, (W - x) - 1 and W - (x + 1), outside an array's index."""
    if not isinstance(node.op, ast.Sub):
        return False
    size, moved = _minuend_and_rest(node)
    if size is None or not is_size(size) or not is_coordinate(moved):
        return False
    around = module.parents[node]
    while isinstance(around, ast.Tuple | ast.Slice):
        around = module.parents[around]
    return not isinstance(around, ast.Subscript)


def _minuend_and_rest(node: ast.BinOp) -> tuple[ast.expr | None, ast.expr]:
    """The W and the x of a flip by W - 1 - x."""
    left, right = node.left, node.right
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Sub):
        if is_one(left.right):
            return left.left, right
        if is_one(right):
            return left.left, left.right
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Add) and is_one(right.right):
        return left, right.left
    return None, right


def _inclusive_size(node: ast.BinOp, module: Module) -> bool:
    """x2 - x1 + 1, also with the difference divided by a scale."""
    if not (isinstance(node.op, ast.Add) and is_one(node.right)):
        return False
    difference = node.left
    if isinstance(difference, ast.BinOp) and isinstance(difference.op, ast.Div):
        difference = difference.left
    return (
        isinstance(difference, ast.BinOp)
        and isinstance(difference.op, ast.Sub)
        and are_opposite_edges(difference.left, difference.right)
    )


def _truncated_box(node: ast.Call, module: Module) -> bool:
    """boxes.astype(int), boxes.long(), np.round(boxes): a fraction of a pixel thrown away."""
    inner = _made_integral(node, module)
    if inner is None or not is_geometry(inner) or module.is_drawing(node):
        return False
    # Of np.round(boxes).astype(int) only the outer call is told.
    outer = module.parents[node]
    while isinstance(outer, ast.Attribute):
        outer = module.parents[outer]
    return not (isinstance(outer, ast.Call) and _made_integral(outer, module) is node)


def _made_integral(node: ast.Call, module: Module) -> ast.expr | None:
    """What a call turns into whole numbers; None if it does nothing of the kind."""
    func = node.func
    if not isinstance(func, ast.Attribute):
        return None
    library = module.name(func).split(".")[0] in ("numpy", "torch")
    if library:  # np.round(x, 2) keeps decimals
        integral = func.attr in _ROUNDING or _INTEGER.match(func.attr)
        return node.args[0] if integral and len(node.args) == 1 and not node.keywords else None
    if func.attr in ("int", "long", "round") and not node.args:
        return func.value
    if func.attr in ("astype", "to"):
        types = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "dtype")]
        return func.value if any(_is_integer_type(t, module) for t in types) else None
    return None


def _is_integer_type(node: ast.expr, module: Module) -> bool:
    name = node.value if isinstance(node, ast.Constant) else module.name(node)
    return isinstance(name, str) and bool(_INTEGER.match(name.split(".")[-1]))


def _contour_indices(node: ast.Call, module: Module) -> bool:
    """Contours of indices kept as they are: no + 0.5 soon after, and nothing drawn."""
    name = module.name(node.func)
    if not name.endswith((".findContours", "measure.find_contours")) or module.is_drawing(node):
        return False
    scope = module.scope(node)
    called = {module.name(call.func).split(".")[-1] for call in calls_in(scope)}
    if called & {"drawContours", "fillPoly", "polylines", "imshow"}:
        return False
    kept = {c.func.attr for c in calls_in(scope) if isinstance(c.func, ast.Attribute)}
    exported = kept & {"tolist", "flatten", "reshape", "ravel", "squeeze", "approxPolyDP"}
    return bool(exported) and not _adds_half(scope, node.lineno)


def _adds_half(scope: ast.AST, line: int) -> bool:
    for node in ast.walk(scope):
        if not line <= getattr(node, "lineno", 0) <= line + _SOON:
            continue
        sides = [node.left, node.right] if isinstance(node, ast.BinOp) else []
        sides += [node.value] if isinstance(node, ast.AugAssign) else []
        if any(isinstance(side, ast.Constant) and side.value == 0.5 for side in sides):
            return True
    return False


def _masks_to_boxes(node: ast.Call, module: Module) -> bool:
    name = module.name(node.func)
    return name.startswith("torchvision.") and name.endswith(".masks_to_boxes")


def _last_index_as_edge(node: ast.Assign, module: Module) -> bool:
    """x2 = columns.max() of the pixels found, never + 1."""
    target = node.targets[0]
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    if len(names) != len(values) or not any(_is_far_edge(name) for name in names):
        return False
    scope = module.scope(node)
    if not any(_finds_pixels(call, module) for call in calls_in(scope)):
        return False
    return any(
        _is_maximum(value) and _is_far_edge(name) and not _adds_one(scope, base_name(name))
        for name, value in zip(names, values, strict=True)
    )


def _finds_pixels(call: ast.Call, module: Module) -> bool:
    name = module.name(call.func).split(".")[-1]
    return name in ("nonzero", "argwhere", "flatnonzero") or (
        name == "where" and len(call.args) == 1
    )


def _is_maximum(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("max", "amax")
    last = node.slice if isinstance(node, ast.Subscript) else None
    return isinstance(last, ast.UnaryOp) and ast.unparse(last) == "-1"


def _is_far_edge(node: ast.expr) -> bool:
    return bool(re.fullmatch(r"[xy]_?(max|2|1)|(max|right|bottom)_?[xy]?", base_name(node)))


def _adds_one(scope: ast.AST, name: str) -> bool:
    """Whether a function uses `name + 1`, also within a longer sum."""
    for node in ast.walk(scope):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and is_one(node.right):
            if any(base_name(n) == name for n in ast.walk(node.left) if isinstance(n, ast.expr)):
                return True
        elif isinstance(node, ast.AugAssign) and base_name(node.target) == name:
            return True
    return False


RULES: tuple[Rule, ...] = (
    Rule(
        "index-flip",
        ast.BinOp,
        _index_flip,
        1.0,
        "W - 1 - x flips pixel indices; a coordinate lands 1 px too far left",
        "W - x for coordinates; for indices say so in an ignore comment",
    ),
    Rule(
        "inclusive-size",
        ast.BinOp,
        _inclusive_size,
        1.0,
        "x2 - x1 + 1 counts the pixels between inclusive indices; of a box in coordinates it is"
        " 1 px too large, at every scale",
        "x2 - x1, with x2 the coordinate of the right edge",
    ),
    Rule(
        "truncated-box",
        ast.Call,
        _truncated_box,
        0.5,
        "Whole numbers in place of coordinates: up to 1 px is cut off, half a pixel on average"
        " (rounding: up to half a pixel)",
        "keep floats until pixels are addressed",
    ),
    Rule(
        "contour-indices",
        ast.Call,
        _contour_indices,
        0.5,
        "Contours are made of pixel indices; as coordinates they lie half a pixel up and left",
        "add 0.5 to every vertex",
    ),
    Rule(
        "last-index-as-edge",
        ast.Assign,
        _last_index_as_edge,
        1.0,
        "The index of the last pixel is not the right edge: the box is 1 px short",
        "add 1 to the largest indices",
    ),
    Rule(
        "masks-to-boxes",
        ast.Call,
        _masks_to_boxes,
        1.0,
        "masks_to_boxes of torchvision gives the last pixel's index as the far edge: 1 px short",
        "add 1 to x2 and y2",
    ),
    *(
        Rule(name, ast.Call, matches, cost_px, says, fix)
        for name, matches, cost_px, says, fix in lint_calls.RULES
    ),
)
