"""The rules of the layout, checked on the syntax tree: doors between rooms, names and sizes."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "a2a_app"

# Each room may import itself and those before it.
ROOMS = (
    "protocol",
    "conf",
    "outages",
    "threads",
    "shield",
    "hooks",
    "models",
    "live",
    "store",
    "feed",
    "agents",
    "push",
    "runners",
    "operations",
    "bindings",
)
# Of use to any project: these know nothing of ours, and no room knows them.
APART = {"layers"}
# These tie the rooms to Django: they may import anything, and no room imports them.
GLUE = {
    "apps", "urls", "asgi", "admin", "authentication", "checks", "testing", "management",
    "middleware", "migrations",
}  # fmt: skip  # as one list

# Doors that the order alone would leave open.
SHUT_ROOMS = {
    "conf": {"protocol"},
    "live": {"models"},
    "feed": {"models"},
    "agents": {"models", "live", "feed"},
    "operations": {"models", "live"},
    "bindings": {"models", "store", "live", "feed"},
}
# Who may import a package, where not everyone may.
HOLDERS = {
    "ninja": {"bindings"},
    "channels": {"live", "layers"},
    "procrastinate": {"runners"},
    "django_tasks": {"runners"},
}
SHUT_PACKAGES = {
    "agents": {"django.http"},
    "operations": {"django.http"},
}
# All that the protocol's types are made of.
PROTOCOL_PACKAGES = {"pydantic", "pydantic_core", "typing_extensions"} | set(
    sys.stdlib_module_names
)

BANNED_NAMES = re.compile(r"(utils?|helpers?|common|misc|managers?|.*_v2)")
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40
# Orders to tools, which are no reasons.
ORDERS = re.compile(r"noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?|type:\s*ignore(\[[^]]*\])?")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(root: Path) -> list[str]:
    """List what breaks a rule in the checkout at `root`, each as `path:line: what`."""
    found: list[str] = []
    for top in (PACKAGE, "project", "tests"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).parts
            found += [f"{'/'.join(parts)}:{fault}" for fault in _file_faults(path, parts)]
    return found


def _file_faults(path: Path, parts: tuple[str, ...]) -> Iterator[str]:
    source = path.read_text()
    tree = ast.parse(source)
    yield from _name_faults(parts)
    # Migrations are written by Django.
    if "migrations" not in parts:
        yield from _size_faults(source)
        yield from _inner_import_faults(tree, source.splitlines())
    if parts[0] == PACKAGE:
        yield from _door_faults(tree, parts)
        if "migrations" not in parts:
            yield from _function_faults(tree)


def _name_faults(parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        name = part.removesuffix(".py")
        if BANNED_NAMES.fullmatch(name):
            yield f"1: {name!r} says nothing; which noun is it about?"


def _size_faults(source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{lines}: {lines} lines; {MAX_FILE_LINES} are the most"


def _function_faults(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                most = f"{MAX_FUNCTION_LINES} are the most"
                yield f"{node.lineno}: {node.name} has {lines} lines; {most}"


def _inner_import_faults(tree: ast.Module, lines: list[str]) -> Iterator[str]:
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        for node in _own_imports(function):
            if not _reason(lines[max(node.lineno - 2, 0) : node.end_lineno]):
                yield f"{node.lineno}: an import inside a function without a reason beside it"


def _reason(lines: list[str]) -> bool:
    """Tell whether a comment on the lines says more than an order to a tool."""
    comments = (line.partition("#")[2] for line in lines)
    return any(re.search(r"\w{2}", ORDERS.sub("", comment)) for comment in comments)


def _own_imports(function: Function) -> Iterator[ast.Import | ast.ImportFrom]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, Function):  # an inner function is looked at by itself
            waiting.extend(ast.iter_child_nodes(node))


def _door_faults(tree: ast.Module, parts: tuple[str, ...]) -> Iterator[str]:
    if parts == (PACKAGE, "__init__.py"):
        room = ""
    else:
        room = parts[1].removesuffix(".py")
        if room not in ROOMS and room not in APART and room not in GLUE:
            yield f"1: {room!r} is no room; tests/layout.py has the list"
            return
    if room in GLUE:
        return
    for line, module in _imports(tree, parts):
        complaint = _complaint(room, module)
        if complaint:
            yield f"{line}: {room or PACKAGE} may not import {complaint}"


def _imports(tree: ast.Module, parts: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Give each imported name in full, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package that the file is in, which for `__init__.py` is itself.
            package = parts[: len(parts) - node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _complaint(room: str, module: str) -> str:
    top, _, rest = module.partition(".")
    if top == PACKAGE:
        target = rest.partition(".")[0]
        return target if _is_shut(room, target) else ""
    if room == "protocol" and top not in PROTOCOL_PACKAGES:
        return f"{top}: only pydantic and the standard library"
    if top in HOLDERS and room not in HOLDERS[top]:
        return f"{top}: only {', '.join(sorted(HOLDERS[top]))} may"
    for package in SHUT_PACKAGES.get(room, ()):
        if f"{module}.".startswith(f"{package}."):
            return package
    return ""


def _is_shut(room: str, target: str) -> bool:
    if room in APART or target in APART:
        return target != room
    if target in GLUE:
        return True
    if target not in ROOMS:
        return False  # a name that the package itself has, such as its version
    if not room:
        return True  # the package's own file is read before any room
    return ROOMS.index(target) > ROOMS.index(room) or target in SHUT_ROOMS.get(room, ())
