"""Whether a line of the user's program lies in the loop that another one runs in; read from the source, for error messages."""

from __future__ import annotations

import ast
import linecache

from .provenance import Place

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


def in_respect_of_loop(made: Place, asked: Place) -> str:
    """How *made* stands to the innermost loop around *asked*, in words: "" where there is none, or no telling."""
    if made.code is not asked.code:
        return ""
    loop = _innermost_loop(asked)
    if loop is None:
        return ""
    first, last = loop
    return "in an earlier turn of the loop" if first <= made.line <= last else "outside the loop"


def _innermost_loop(place: Place) -> tuple[int, int] | None:
    """The first and last line of the body of the innermost loop around *place*, within the same function."""
    try:
        tree = ast.parse("".join(linecache.getlines(place.code.co_filename)))
    except SyntaxError:
        return None
    scope = _scope(tree, place)
    found = None
    stack: list[ast.AST] = list(ast.iter_child_nodes(scope)) if scope is not None else []
    while stack:
        node = stack.pop()
        if isinstance(node, _Scope):
            continue
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            first, last = node.body[0].lineno, node.body[-1].end_lineno or 0
            if first <= place.line <= last and (found is None or first >= found[0]):
                found = first, last
        stack.extend(ast.iter_child_nodes(node))
    return found


def _scope(tree: ast.Module, place: Place) -> ast.AST | None:
    """The function, or the module itself, whose code *place* is in."""
    if place.code.co_name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == place.code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == place.code.co_firstlineno:
                return node
    return None
