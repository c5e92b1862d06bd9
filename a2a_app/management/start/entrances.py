"""The ways into a project: its URLs, and its ASGI application."""

import ast
from pathlib import Path

from a2a_app import TEMPLATE
from a2a_app.management.start.change import Change, assigned, change, insert, replace

_INCLUDED = 'path("", include("a2a_app.urls"))'
_IMPORTED = "from django.urls import include, path"


def in_urls(path: Path) -> Change | None:
    """Return what the file of the root's URLs needs; None: nothing."""
    if path.exists() and "a2a_app.urls" in path.read_text(errors="replace"):
        return None
    advice = f"{_IMPORTED}\n\nurlpatterns = [{_INCLUDED}, *urlpatterns]"
    return change(path, _include, advice)


def _include(text: str, tree: ast.Module) -> str | None:
    lists = assigned(tree, "urlpatterns")
    if len(lists) != 1 or not isinstance(lists[0], ast.List):
        return None
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [node for node in imports if _is_from(node, "django.urls")]
    if not ours or _bound_elsewhere(tree, ours):
        return None
    # First, so that no pattern that takes everything stands before it. From the bottom up, so that
    # what the tree says of the lines above stays true.
    text = insert(text, lists[0], f"\n    {_INCLUDED},", after=1)
    return _import(text, ours)


def _import(text: str, ours: list[ast.Import | ast.ImportFrom]) -> str | None:
    names = {alias.asname or alias.name for node in ours for alias in node.names}
    missing = {"include", "path"} - names
    if not missing:
        return text
    first = ours[0]
    line = text.split("\n")[first.lineno - 1]
    if first.lineno != first.end_lineno or "(" in line or ";" in line:
        return None  # what else stands there, such as comments, might be lost
    spelt = {f"{a.name} as {a.asname}" if a.asname else a.name for a in first.names}
    return replace(text, first, f"from django.urls import {', '.join(sorted(spelt | missing))}")


def _is_from(node: ast.stmt, module: str) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == module and not node.level


def _bound_elsewhere(tree: ast.Module, ours: list[ast.Import | ast.ImportFrom]) -> bool:
    """Tell whether `include` or `path` are, or may be, something else than Django's."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [
                (alias.asname or alias.name).partition(".")[0]
                for alias in node.names
                if node not in ours or alias.asname is not None
            ]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        if {"include", "path", "*"} & set(names):
            return True
    return False


def in_asgi(path: Path, settings: str) -> Change | None:
    """Return what the file of the ASGI application needs, which may not be there; None: nothing."""
    if not path.exists():
        whole = (TEMPLATE / "project_name" / "asgi.py-tpl").read_text(encoding="utf-8")
        return Change(path, after=whole.replace("{{ project_name }}.settings", settings))
    if "a2a_app.asgi" in path.read_text(errors="replace"):
        return None
    return change(path, _import_ours, "from a2a_app.asgi import get_asgi_application")


def _import_ours(text: str, tree: ast.Module) -> str | None:
    found = [node for node in tree.body if _is_from(node, "django.core.asgi")]
    if len(found) != 1 or not isinstance(found[0], ast.ImportFrom):
        return None
    return replace(text, found[0], ast.unparse(found[0]).replace("django.core.", "a2a_app.", 1))
