"""The rules of ARCHITECTURE.md that a machine can see, checked on the source text of every module.

A rule is a function from a tree (path -> source) to its faults, each a sentence that says what to do::

    tree ──modules──> Module(part, imports, syntax) ──rule──> "bridge/x.py:3: …"

Each rule is first shown small trees that break it, since a check that cannot fail proves nothing, then
the real tree (``test_architecture.py``). Imports under ``TYPE_CHECKING`` and inside functions count like
all others.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = Mapping[str, str]
Rule: TypeAlias = Callable[[Tree], Iterator[str]]

PAGE = Path(__file__).parent.parent / "ARCHITECTURE.md"
_ROW = re.compile(r"^\| [a-z ]+ \| (`\w+`(?:, `\w+`)*) \| [^|]+ \|$", re.MULTILINE)


def layers_of(page: str) -> tuple[tuple[str, ...], ...]:
    """The rows of the table of layers in ARCHITECTURE.md, lowest first."""
    return tuple(tuple(re.findall(r"\w+", cell)) for cell in _ROW.findall(page))


LAYERS = layers_of(PAGE.read_text("utf-8"))
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts} | {"": -1}
SIBLINGS = {
    ("admin", "status"),
    ("alerts", "status"),
    ("demo", "backfill"),
    ("demo", "daemon"),
    ("demo", "sandbox"),
    ("fitting", "checks"),
}
COMPOSITION = RANK["wiring"]

ANYWHERE = ("bridge",)
HOMES = {
    # For the heartbeat's one request; below gql; below httpx.
    "aiohttp": ("bridge.alerts.heartbeat", "bridge.salestrekker.transport", "bridge.trakor.transport"),
    "aiohttp.web": ("bridge.admin", "bridge.sandbox", "bridge.serving", "bridge.webhooks"),
    "aiolimiter": ("bridge.delivery", "bridge.salestrekker"),
    "alembic": ("bridge.ledger",),
    "apprise": ("bridge.alerts",),
    "apscheduler": ("bridge.schedule",),
    "cryptography": ("bridge.encryption",),
    "gql": ("bridge.salestrekker",),
    "graphql": ("bridge.fitting", "bridge.salestrekker", "bridge.sandbox"),
    "httpx": ("bridge.trakor",),
    "jinja2": ("bridge.admin",),
    "jmespath": ("bridge.mapping",),
    "jwt": ("bridge.salestrekker", "bridge.sandbox"),
    "orjson": ANYWHERE,
    "phonenumbers": ("bridge.names",),
    "prometheus_client": ("bridge.admin",),
    "pydantic": ("bridge.settings",),
    "pydantic_core": ("bridge.settings",),
    "pydantic_settings": ("bridge.settings",),
    "rich": ("bridge.cli",),
    "sqlalchemy": ("bridge.ledger",),
    "stamina": ("bridge.salestrekker",),
    "structlog": ANYWHERE,
    "tomlkit": ("bridge.fitting",),
    "typer": ("bridge.cli",),
}

MOST_LINES = 600
MOST_LINES_OF_A_FUNCTION = 60

CORE = {"mapping", "decision"}
WORLD = (
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3",
    "subprocess", "tempfile", "threading", "time", "urllib.request",
)  # fmt: skip
ACTS = re.compile(
    r"(^|\.)(open|print|input|getenv|environ|cwd|home|now|today|utcnow|read_\w+|write_\w+|mkdir|unlink|connect"
    r"|create_engine|run|Thread|Lock|get_event_loop|basicConfig|dictConfig|configure|getLogger)$"
    r"|^(os|random|secrets|shutil|socket|subprocess|tempfile|time)\."
)
SANDBOX_MAY_USE = {"", "errors", "logs", "sandbox"}
RUN_AS_SCRIPTS = re.compile(r"bridge/__main__\.py|bridge/ledger/migrations/env\.py")
TABLES = re.compile(r"bridge/ledger/schema\.py|bridge/ledger/migrations/versions/.*\.py")
CONSTANT = re.compile(r"_{0,2}[A-Z]\w*|__\w+__")
IMPORT_TIME = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAKES_EMPTY = {"dict", "list", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict"}


@dataclass(frozen=True)
class Module:
    """One module: where it is, what it is called, and the names it imports, each with its line."""

    path: str
    syntax: ast.Module
    lines: int

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def part(self) -> str:
        """What the layers are made of: a module or package directly under ``bridge``; "" is bridge itself."""
        return part_of(self.name)

    def imports(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = self.path.split("/")[: -node.level]
        return ".".join([*here, node.module] if node.module else here)


@cache
def parsed(path: str, source: str) -> Module:
    return Module(path, ast.parse(source, path), len(source.splitlines()))


def modules(tree: Tree) -> dict[str, Module]:
    found = [parsed(path, source) for path, source in tree.items()]
    return {module.name: module for module in found}


def part_of(name: str) -> str:
    return [*name.split("."), ""][1]


def ours(tree: Tree) -> Iterator[tuple[Module, int, str]]:
    """Each import of a module of ours: importer, line, and the imported module's name."""
    known = modules(tree)
    for module in known.values():
        for line, name in module.imports():
            if name.split(".")[0] == "bridge":
                package = name.rpartition(".")[0]
                yield module, line, package if package in known and name not in known else name


def outside(tree: Tree) -> Iterator[tuple[Module, int, str]]:
    """Each import of anything else that the standard library does not have."""
    for module in modules(tree).values():
        for line, name in module.imports():
            if name.split(".")[0] not in {"bridge", *sys.stdlib_module_names}:
                yield module, line, name


def is_in(name: str, homes: tuple[str, ...]) -> bool:
    return any(name == home or name.startswith(home + ".") for home in homes)


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of an expression; what a method is called on, if that is no name, is left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


# -- the rules ------------------------------------------------------------------------------------


def every_module_has_a_layer(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        if module.part not in RANK:
            yield (
                f"{module.path}: has no layer; put {module.part!r} into ARCHITECTURE.md's table,"
                " as low as its imports allow"
            )


def imports_go_down(tree: Tree) -> Iterator[str]:
    for module, line, name in ours(tree):
        importer, imported = module.part, part_of(name)
        if importer not in RANK or imported not in {*RANK} - {importer} or (importer, imported) in SIBLINGS:
            continue
        if RANK[imported] >= RANK[importer]:
            yield (
                f"{module.path}:{line}: {importer or 'bridge'} (layer {RANK[importer]}) imports"
                f" {imported} (layer {RANK[imported]}); take it as an argument, or move what both need lower"
            )


def settings_are_read_by_the_composition(tree: Tree) -> Iterator[str]:
    for module, line, name in ours(tree):
        if (
            part_of(name) == "settings"
            and module.part != "settings"
            and RANK.get(module.part, 0) < COMPOSITION
        ):
            yield f"{module.path}:{line}: imports settings; be handed plain values instead"


def each_library_has_its_home(tree: Tree) -> Iterator[str]:
    for module, line, name in outside(tree):
        library = next((known for known in sorted(HOMES, reverse=True) if is_in(name, (known,))), None)
        if library is None:
            yield f"{module.path}:{line}: {name} has no home; name in HOMES the one place that may import it"
        elif not is_in(module.name, HOMES[library]):
            homes = " or ".join(HOMES[library])
            yield f"{module.path}:{line}: imports {name}, at home in {homes} only"


def logging_is_configured_in_logs(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        used = [
            (node.lineno, dotted(node)) for node in ast.walk(module.syntax) if isinstance(node, ast.Attribute)
        ]
        for line, name in [*used, *module.imports()]:
            configures = name in {"logging.basicConfig", "logging.config"} or name.startswith(
                "structlog.configure"
            )
            if configures and module.part != "logs":
                yield f"{module.path}:{line}: uses {name}; configure logging in bridge/logs.py only"


def the_sandbox_stands_alone(tree: Tree) -> Iterator[str]:
    for module, line, name in ours(tree):
        if module.part == "sandbox" and part_of(name) not in SANDBOX_MAY_USE:
            yield (
                f"{module.path}:{line}: the sandbox imports {name}; write it anew from the vendor's page:"
                " a double that shares code with what it checks proves nothing"
            )


def the_core_is_pure(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        if module.part in CORE:
            impure = [*what_it_reaches(module), *what_it_waits_for(module)]
            yield from (
                f"{module.path}:{line}: {what}; {module.part} is pure: no I/O, no clock"
                for line, what in impure
            )


def what_it_reaches(module: Module) -> Iterator[tuple[int, str]]:
    for line, name in module.imports():
        if is_in(name, WORLD):
            yield line, f"imports {name}"
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.Call) and ACTS.search(name := dotted(node.func)):
            yield node.lineno, f"calls {name}"


def what_it_waits_for(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "waits"


def no_cycles(tree: Tree) -> Iterator[str]:
    graph: dict[str, set[str]] = {name: set() for name in modules(tree)}
    for module, _, name in ours(tree):
        graph[module.name] |= {name} & graph.keys() - {module.name}
    while ends := [name for name, imported in graph.items() if not imported & graph.keys()]:
        for name in ends:
            del graph[name]
    if graph:
        yield f"a cycle of imports, and what imports it: {', '.join(sorted(graph))}; hand one to the other"


def files_and_functions_are_short(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        if module.lines > MOST_LINES:
            yield f"{module.path}: has {module.lines} lines, {MOST_LINES} at most; split it by what it is for"
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    yield (
                        f"{module.path}:{node.lineno}: {node.name} has {length} lines,"
                        f" {MOST_LINES_OF_A_FUNCTION} at most; give its steps names"
                    )


def every_module_says_what_it_is_for(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        if not ast.get_docstring(module.syntax):
            yield f"{module.path}: has no docstring; say what the module is for"


def nothing_happens_at_import(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        if RUN_AS_SCRIPTS.fullmatch(module.path):
            continue
        for node in module.syntax.body:
            if fault := what_happens(node, module.path):
                yield f"{module.path}:{node.lineno}: {fault}"


def what_happens(node: ast.stmt, path: str) -> str:
    """What a statement of a module's own level does that it must not; "" if it only defines."""
    if isinstance(node, ast.Expr) and (is_text(node.value) or is_index(node.value, path)):
        return ""
    if isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING"):
        return ""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return what_an_assignment_does(node, path)
    return (
        "" if isinstance(node, IMPORT_TIME) else "runs at import; put it into a function that somebody calls"
    )


def what_an_assignment_does(node: ast.Assign | ast.AnnAssign, path: str) -> str:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [ast.unparse(name) for target in targets for name in getattr(target, "elts", [target])]
    if names == ["log"] and node.value and ast.unparse(node.value).startswith("structlog.get_logger("):
        return ""  # a proxy that looks up the configuration when it is used
    variable = next((name for name in names if not CONSTANT.fullmatch(name)), None)
    if variable and not TABLES.fullmatch(path):
        return f"{variable} is named like state; pass it about, or name a constant in capitals"
    if node.value is None:
        return f"{names[0]} has no value yet, so it is state; pass it about"
    if is_empty_container(node.value):
        return f"{names[0]} is empty, so it is there to be filled; keep state in an object that somebody owns"
    uses = [part for part in ast.walk(node.value) if isinstance(part, ast.Attribute | ast.Call)]
    acts = [
        name
        for part in uses
        if ACTS.search(name := dotted(part.func if isinstance(part, ast.Call) else part))
        and ".c." not in name  # a column of a table (`records.c.run`), in a statement made once
    ]
    return f"{names[0]} is made by {acts[0]} at import; do it when it is needed" if acts else ""


def is_text(value: ast.expr) -> bool:
    """Whether it is a docstring: the module's, or of the constant above it."""
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def is_index(value: ast.expr, path: str) -> bool:
    """Whether it is SQLAlchemy's way to give an index to a table after the table."""
    return isinstance(value, ast.Call) and dotted(value.func) == "Index" and bool(TABLES.fullmatch(path))


def is_empty_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return (
            dotted(value.func).rpartition(".")[2] in MAKES_EMPTY and len(value.args) + len(value.keywords) < 2
        )
    return isinstance(value, ast.Dict | ast.List | ast.Set) and not getattr(
        value, "elts", getattr(value, "keys", None)
    )


def no_name_is_rebound(tree: Tree) -> Iterator[str]:
    for module in modules(tree).values():
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.Global):
                yield f"{module.path}:{node.lineno}: global {node.names[0]}; let an object own what changes"


RULES: list[Rule] = [
    every_module_has_a_layer,
    imports_go_down,
    settings_are_read_by_the_composition,
    each_library_has_its_home,
    logging_is_configured_in_logs,
    the_sandbox_stands_alone,
    the_core_is_pure,
    no_cycles,
    files_and_functions_are_short,
    every_module_says_what_it_is_for,
    nothing_happens_at_import,
    no_name_is_rebound,
]
