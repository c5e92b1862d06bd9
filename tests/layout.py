"""The rules of the layout, checked on the syntax tree: imports between rooms, names and sizes."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "a2a_app"
ARCHITECTURE = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text()


def _listed(pattern: str) -> tuple[str, ...]:
    """Return the names in backticks in what a pattern finds on the page about the architecture."""
    section = ARCHITECTURE.partition("## The rooms")[2].partition("\n## ")[0]
    return tuple(
        name
        for found in re.findall(pattern, section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", found)
    )


# Each room may import itself and those before it.
ROOMS = _listed(r"^\| (`\w+`) \|")
# Of use to any project: these know nothing of ours, and no room knows them.
APART = set(_listed(r"^(`\w+`) stands apart"))
# These tie the rooms to Django: they may import anything, and no room imports them.
GLUE = set(_listed(r"^The glue ties [^:]*: ([^.]*)\."))

# Imports that the order alone would allow.
CLOSED_ROOMS = {
    "conf": {"protocol"},
    "broadcast": {"models"},
    "feed": {"models"},
    "agents": {"models", "broadcast", "feed"},
    "operations": {"models", "broadcast"},
    "bindings": {"models", "store", "broadcast", "feed"},
    "contrib": {"models", "store", "broadcast", "feed", "runners", "operations", "bindings"},
    "client": {"models", "store", "broadcast", "feed"},
}
# What of a closed room is open all the same: who owns a row is no table.
OPEN_MODULES = {"models.owners"}
# Who may import a package, where not everyone may.
HOLDERS = {
    "ninja": {"bindings"},
    "channels": {"broadcast", "layers"},
    "celery": {"runners"},
    "procrastinate": {"runners"},
    "prometheus_client": {"figures"},
    "django_tasks": {"runners"},
    "agents": {"contrib"},
    "fasta2a": {"contrib"},
    "grpc": {"bindings", "management"},
    "langchain_core": {"contrib"},
    "langgraph": {"contrib"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
    "openai": {"contrib"},
    "pydantic_ai": {"contrib"},
}
CLOSED_PACKAGES = {
    "agents": {"django.http"},
    "operations": {"django.http"},
}
# All that the protocol's types are made of.
PROTOCOL_PACKAGES = {"pydantic", "pydantic_core", "typing_extensions"} | set(
    sys.stdlib_module_names
)

BANNED_NAMES = re.compile(r"(utils?|helpers?|common|misc|managers?|.*_v2)")
MAX_FILE_LINES = 350
MIN_FILE_LINES = 40
# Each a file, or a folder, whose files are shorter for a reason.
SHORT_FILES = {
    "__main__.py": "Python looks for it here",
    "agents/tenants.py": "what a project's resolver imports",
    "apps.py": "Django looks for it here",
    "bindings/grpc/services.py": "what is served, apart from how",
    "bindings/health.py": "what probes ask, and nobody else",
    "bindings/hand_on.py": "a hook of the project's, and what it may return",
    "bindings/v03/push.py": "registers what webhooks get, and nothing else does so",
    "concurrency/hooks.py": "one function, of a kind that nothing else here is",
    "concurrency/outages.py": "one class, which every package that uses a service refers to",
    "cors.py": "names that a project's settings import",
    "management/commands": "a command is its arguments and a call",
    "management/start/agents.py": "the first agent's text, and where it belongs",
    "management/people.py": "what two commands share",
    "models": "one table a file",
    "operations/limits.py": "what bindings may not store themselves",
    "operations/remote_tasks.py": "what bindings may not wake themselves",
    "operations/cards.py": "one operation, in the file that bears its name in each layer",
    "pages/times.py": "one function, which pages of all kinds use",
    "protocol": "one object of the specification a file",
    "runners/tracebacks.py": "what only turns that fail have",
    "runners/upkeep.py": "one loop, which is none of a runner's own",
    "testing/callers.py": "what a setting names by its path",
    "store/durable/wake.py": "what the one write path knows of turns that wait",
    "templatetags": "a tag is what it shows, and who may see it",
    "urls.py": "Django looks for it here",
}
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
        yield from _docstring_faults(tree)
        yield from _inner_import_faults(tree, source.splitlines())
    if parts[0] == PACKAGE:
        yield from _import_faults(tree, parts)
        if "migrations" not in parts:
            yield from _function_faults(tree)
            yield from _short_file_faults(source, parts)


def _name_faults(parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        name = part.removesuffix(".py")
        if BANNED_NAMES.fullmatch(name):
            yield f"1: {name!r} says nothing; which noun is it about?"


def _size_faults(source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{lines}: {lines} lines; {MAX_FILE_LINES} are the most"


def _short_file_faults(source: str, parts: tuple[str, ...]) -> Iterator[str]:
    """Find a file that is too short to be a noun of its own. A package's own file may be short."""
    lines = source.count("\n")
    places = {"/".join(parts[1:end]) for end in range(2, len(parts) + 1)}
    if lines < MIN_FILE_LINES and parts[-1] != "__init__.py" and not places & SHORT_FILES.keys():
        yield f"{lines}: {lines} lines; below {MIN_FILE_LINES} tests/layout.py wants a reason"


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all statements in it, but no expressions, which are ten times as many."""
    yield node
    for inner in _inside(node):
        yield from _statements(inner)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that are directly in a module or in another statement."""
    for field in ("body", "handlers", "cases", "orelse", "finalbody"):
        yield from getattr(node, field, ())


def _docstring_faults(tree: ast.Module) -> Iterator[str]:
    """Find a docstring whose first word says nothing; ruff finds those that are no imperative."""
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            text = ast.get_docstring(node) or ""
            if re.match(r"Gives?\b", text):
                yield f"{node.body[0].lineno}: a docstring that begins with {text.split()[0]!r}"


def _function_faults(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                most = f"{MAX_FUNCTION_LINES} are the most"
                yield f"{node.lineno}: {node.name} has {lines} lines; {most}"


def _inner_import_faults(tree: ast.Module, lines: list[str]) -> Iterator[str]:
    for function in _statements(tree):
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
            waiting.extend(_inside(node))


def _import_faults(tree: ast.Module, parts: tuple[str, ...]) -> Iterator[str]:
    if parts == (PACKAGE, "__init__.py"):
        room = ""
    else:
        room = parts[1].removesuffix(".py")
        if room not in ROOMS and room not in APART and room not in GLUE:
            yield f"1: {room!r} is no room; docs/architecture.md has the list"
            return
    if room in GLUE:
        return
    for line, module in _imports(tree, parts):
        complaint = _complaint(room, module)
        if complaint:
            yield f"{line}: {room or PACKAGE} may not import {complaint}"


def _imports(tree: ast.Module, parts: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield each imported name in full, wherever in the file it is imported."""
    for node in _statements(tree):
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
        if any(f"{rest}.".startswith(f"{open_module}.") for open_module in OPEN_MODULES):
            rest = ""
        target = rest.partition(".")[0]
        return target if _is_closed(room, target) else ""
    if room == "protocol" and top not in PROTOCOL_PACKAGES:
        return f"{top}: only pydantic and the standard library"
    if top in HOLDERS and room not in HOLDERS[top]:
        return f"{top}: only {', '.join(sorted(HOLDERS[top]))} may"
    for package in CLOSED_PACKAGES.get(room, ()):
        if f"{module}.".startswith(f"{package}."):
            return package
    return ""


def _is_closed(room: str, target: str) -> bool:
    if room in APART or target in APART:
        return target != room
    if target in GLUE:
        return True
    if target not in ROOMS:
        return False  # a name that the package itself has, such as its version
    if not room:
        return True  # the package's own file is read before any room
    return ROOMS.index(target) > ROOMS.index(room) or target in CLOSED_ROOMS.get(room, ())
