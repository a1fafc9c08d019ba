"""A linter for pixel conventions: the mistakes of the article, found in source code."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

from d2align.audit.lint_rules import RULES, Module, Rule
from d2align.audit.record import Finding, status_of

_IGNORE = re.compile(r"#\s*d2align:\s*ignore(?:\[([^\]]*)\])?")
_RULES_OF = {kind: [r for r in RULES if r.node is kind] for kind in {r.node for r in RULES}}
_NAMES = {rule.name for rule in RULES}
_SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", "build", "site-packages"}


def lint_source(paths: Iterable[str | Path]) -> list[Finding]:
    """Return the places in Python source where a pixel convention is probably broken.

    A line with the comment `# d2align: ignore[rule]` (several rules with commas between, all
    without brackets) is left out; an ignore that hides nothing is itself told.

    Args:
        paths: files, or folders to be searched for `*.py`.

    Returns:
        One finding a place, by file and line: `subject` is "file:line:column", `convention` the
        rule's name, `error_px` what is at stake. A file that does not parse gives a "failed" one.

    Raises:
        ValueError: a path that does not exist, or a file that is not Python.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    findings = []
    for path in _files(paths):
        try:
            source = _read(path)
        except (SyntaxError, UnicodeDecodeError) as e:
            findings.append(_unreadable(str(path), f"cannot be decoded: {e}"))
        else:
            findings += lint_text(source, str(path))
    return findings


def lint_text(source: str, name: str = "<source>") -> list[Finding]:
    """Return what ``lint_source`` would of one file.

    Args:
        source: Python source.
        name: what findings call the file.

    Returns:
        One finding a place, by line.
    """
    try:
        module = Module(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError) as e:
        line = getattr(e, "lineno", None)
        return [_unreadable(name, f"cannot be parsed: {e}" + (f" (line {line})" if line else ""))]
    ignores = _ignores(source)
    used: set[tuple[int, str]] = set()
    findings = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.expr | ast.stmt):
            continue
        for rule in _RULES_OF.get(type(node), ()):
            if not rule.matches(node, module):
                continue
            hidden = [line for line in _lines(node) if rule.name in ignores.get(line, ())]
            used |= {(line, rule.name) for line in hidden}
            if not hidden:
                findings.append((node.lineno, _finding(rule, name, node)))
    findings += _unused_ignores(ignores, used, name)
    return [finding for _, finding in sorted(findings, key=lambda item: item[0])]


def _finding(rule: Rule, name: str, node: ast.expr | ast.stmt) -> Finding:
    status = status_of(rule.cost_px)
    return Finding(
        kind="source",
        subject=f"{name}:{node.lineno}:{node.col_offset + 1}",
        convention=rule.name,
        status=status,
        sentence=f"{rule.says}. Fix: {rule.fix}.",
        error_px=rule.cost_px,
        parameters={"code": _shortened(ast.unparse(node))},
    )


def _unused_ignores(
    ignores: dict[int, set[str]], used: set[tuple[int, str]], name: str
) -> list[tuple[int, Finding]]:
    """A finding for each rule that an ignore names in vain."""
    findings = []
    for line, rules in ignores.items():
        stale = sorted(r for r in rules if (line, r) not in used)
        if rules >= _NAMES and len(stale) < len(rules):
            continue  # a bare ignore that hides something
        for rule in ["every rule"] if rules >= _NAMES else stale:
            known = "" if rule in _NAMES or rules >= _NAMES else " (no such rule)"
            sentence = f"The ignore of {rule}{known} hides nothing. Fix: remove it."
            findings.append((line, _stale(name, line, rule, sentence)))
    return findings


def _stale(name: str, line: int, rule: str, sentence: str) -> Finding:
    return Finding(
        kind="source",
        subject=f"{name}:{line}",
        convention="unused-ignore",
        status="failed",
        sentence=sentence,
        parameters={"rule": rule},
    )


def _unreadable(name: str, why: str) -> Finding:
    return Finding(
        kind="source", subject=name, convention="none", status="failed", sentence=f"It {why}."
    )


def _ignores(source: str) -> dict[int, set[str]]:
    """The rules that comments switch off, by line; strings that look like one do not count."""
    found: dict[int, set[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        match = _IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
        if match:
            names = {n.strip() for n in (match.group(1) or "").split(",") if n.strip()}
            found[token.start[0]] = names or set(_NAMES)
    return found


def _lines(node: ast.expr | ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _shortened(code: str) -> str:
    return code if len(code) <= 120 else code[:117] + "..."


def _read(path: Path) -> str:
    with tokenize.open(path) as handle:
        return handle.read()


def _files(paths: Iterable[str | Path]) -> list[Path]:
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = path.rglob("*.py")
            found += sorted(p for p in inside if not _SKIPPED & set(p.relative_to(path).parts[:-1]))
        elif path.is_file() and path.suffix == ".py":
            found.append(path)
        else:
            what = "not a Python file" if path.is_file() else "no such file or folder"
            raise ValueError(
                f"paths: got {str(path)!r} ({what}), expected *.py or a folder of them"
            )
    return found
