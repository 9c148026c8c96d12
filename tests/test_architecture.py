"""Each rule of ``architecture.py`` against small trees that break it, a sound one, and the real one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from architecture import (
    LAYERS,
    MOST_LINES,
    MOST_LINES_OF_A_FUNCTION,
    RULES,
    Rule,
    Tree,
    each_library_has_its_home,
    every_module_has_a_layer,
    every_module_says_what_it_is_for,
    files_and_functions_are_short,
    imports_go_down,
    layers_of,
    logging_is_configured_in_logs,
    no_cycles,
    no_name_is_rebound,
    nothing_happens_at_import,
    settings_are_read_by_the_composition,
    the_core_is_pure,
    the_sandbox_stands_alone,
)

ROOT = Path(__file__).parent.parent

LONG_FUNCTION = "def f():\n" + "    pass\n" * MOST_LINES_OF_A_FUNCTION

BROKEN: list[tuple[Rule, dict[str, str], str]] = [
    (every_module_has_a_layer, {"bridge/utils.py": ""}, "put 'utils' into ARCHITECTURE.md's table"),
    (imports_go_down, {"bridge/errors.py": "import bridge.cli"}, "errors (layer 0) imports cli (layer 8)"),
    (
        imports_go_down,
        {"bridge/encryption.py": "from bridge import logs", "bridge/logs.py": ""},
        "imports logs",
    ),
    (imports_go_down, {"bridge/ledger/a.py": "from bridge.trakor import Trakor"}, "bridge/ledger/a.py:1:"),
    (imports_go_down, {"bridge/ledger/a.py": "from ..delivery import x"}, "imports delivery"),
    (imports_go_down, {"bridge/sync.py": "if TYPE_CHECKING:\n    from bridge.status import S"}, "sync.py:2:"),
    (
        imports_go_down,
        {"bridge/sync.py": "def f():\n    from bridge import backfill"},
        "sync.py:2:",
    ),
    (imports_go_down, {"bridge/status.py": "import bridge.admin.page"}, "imports admin"),
    (imports_go_down, {"bridge/__init__.py": "from bridge.errors import E"}, "bridge (layer -1)"),
    (
        settings_are_read_by_the_composition,
        {"bridge/sync.py": "from bridge.settings import S"},
        "plain values",
    ),
    (each_library_has_its_home, {"bridge/sync.py": "import gql.transport"}, "at home in bridge.salestrekker"),
    (each_library_has_its_home, {"bridge/ledger/a.py": "from graphql import parse"}, "imports graphql.parse"),
    (each_library_has_its_home, {"bridge/sandbox/a.py": "import aiohttp"}, "imports aiohttp"),
    (
        each_library_has_its_home,
        {"bridge/salestrekker/transport.py": "from aiohttp import web"},
        "aiohttp.web",
    ),
    (each_library_has_its_home, {"bridge/sync.py": "from requests import get"}, "requests.get has no home"),
    (
        logging_is_configured_in_logs,
        {"bridge/cli.py": "import structlog\nstructlog.configure()"},
        "cli.py:2:",
    ),
    (
        logging_is_configured_in_logs,
        {"bridge/cli.py": "from structlog import configure"},
        "structlog.configure",
    ),
    (
        logging_is_configured_in_logs,
        {"bridge/cli.py": "def f(): logging.basicConfig()"},
        "bridge/logs.py only",
    ),
    (
        the_sandbox_stands_alone,
        {"bridge/sandbox/a.py": "from bridge.names import key"},
        "imports bridge.names",
    ),
    (the_core_is_pure, {"bridge/decision.py": "async def f(): pass"}, "decision is pure"),
    (the_core_is_pure, {"bridge/mapping/a.py": "from pathlib import Path"}, "imports pathlib.Path"),
    (the_core_is_pure, {"bridge/mapping/a.py": "def f(): return datetime.now(UTC)"}, "calls datetime.now"),
    (
        no_cycles,
        {"bridge/ledger/a.py": "from bridge.ledger import b", "bridge/ledger/b.py": "from . import a"},
        "a, ",
    ),
    (files_and_functions_are_short, {"bridge/sync.py": "\n" * (MOST_LINES + 1)}, "has 601 lines"),
    (files_and_functions_are_short, {"bridge/sync.py": LONG_FUNCTION}, "f has 61 lines"),
    (every_module_says_what_it_is_for, {"bridge/sync.py": "# about\nX = 1"}, "no docstring"),
    (nothing_happens_at_import, {"bridge/sync.py": "start()"}, "runs at import"),
    (nothing_happens_at_import, {"bridge/sync.py": "if DEBUG:\n    import x"}, "runs at import"),
    (nothing_happens_at_import, {"bridge/sync.py": "for X in (1, 2):\n    pass"}, "runs at import"),
    (nothing_happens_at_import, {"bridge/sync.py": "client = Client()"}, "client is named like state"),
    (nothing_happens_at_import, {"bridge/sync.py": "log = logging.root"}, "log is named like state"),
    (nothing_happens_at_import, {"bridge/sync.py": "A, b = 1, 2"}, "b is named like state"),
    (nothing_happens_at_import, {"bridge/sync.py": "CACHE: dict[str, str] = {}"}, "CACHE is empty"),
    (nothing_happens_at_import, {"bridge/sync.py": "SEEN = collections.defaultdict(list)"}, "SEEN is empty"),
    (nothing_happens_at_import, {"bridge/sync.py": "URL: str"}, "URL has no value"),
    (nothing_happens_at_import, {"bridge/sync.py": "HOME = os.environ['HOME']"}, "made by os.environ"),
    (
        nothing_happens_at_import,
        {"bridge/sync.py": "PAGE = (Path(__file__).parent / 'a').read_text()"},
        "read_text",
    ),
    (no_name_is_rebound, {"bridge/sync.py": "def f():\n    global CLIENT\n    CLIENT = 1"}, "global CLIENT"),
]

SOUND = {
    "bridge/__init__.py": '__version__ = "1"',
    "bridge/__main__.py": "from bridge.cli import main\nmain()",
    "bridge/errors.py": "class E(Exception): pass",
    "bridge/logs.py": "import structlog\ndef f(): structlog.configure()",
    "bridge/settings.py": "import pydantic",
    "bridge/decision/__init__.py": 'from bridge.decision.observed import decide\n__all__ = ["decide"]',
    "bridge/decision/observed.py": 'from bridge import errors\nWORD = re.compile("a")\n"""It."""',
    "bridge/ledger/schema.py": 'from sqlalchemy import T\nfacts = T()\nIndex("a", facts.c.a)',
    "bridge/ledger/migrations/env.py": "from alembic import context\ncontext.run()",
    "bridge/status.py": "from bridge import __version__\nlog = structlog.get_logger(__name__)",
    "bridge/admin/page.py": "from aiohttp import web\nfrom bridge.status import snapshot",
    "bridge/backfill.py": "from bridge.settings import load\nif TYPE_CHECKING:\n    import bridge.errors",
    "bridge/sandbox/a.py": "from aiohttp import web\nfrom bridge.errors import E\nfrom . import b",
    "bridge/sandbox/b.py": 'from graphql import parse\nNAMES = ("a",)\nA: TypeAlias = dict[str, int]',
    "bridge/cli.py": "import typer\nfrom bridge.backfill import run\nDONE, FAILED = 0, 1\ndef main(): ...",
}


def describe(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("rule", "tree", "complaint"), BROKEN, ids=describe)
def test_a_rule_finds_what_breaks_it(rule: Rule, tree: Tree, complaint: str) -> None:
    faults = list(rule(tree))
    assert len(faults) == 1, faults
    assert complaint in faults[0]


@pytest.mark.parametrize("rule", RULES, ids=describe)
def test_a_rule_lets_a_sound_tree_pass(rule: Rule) -> None:
    tree = {path: f'"""What it is for."""\n{source}' for path, source in SOUND.items()}
    assert list(rule(tree)) == []


def test_every_rule_is_shown_something_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == {*RULES}


@cache
def bridge() -> dict[str, str]:
    found = {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.glob("bridge/**/*.py")
    }
    assert {"bridge/__init__.py", "bridge/errors.py"} <= found.keys()
    return found


@pytest.mark.parametrize("rule", RULES, ids=describe)
def test_the_bridge_keeps_the_rule(rule: Rule) -> None:
    faults = sorted(rule(bridge()))
    assert not faults, "\n".join(["", *faults])


def test_the_layers_are_read_from_the_page() -> None:
    assert layers_of(
        "| layer | modules |\n|---|---|\n| values | `a`, `b` | x |\n| tools | `c` | y `d` |\n"
    ) == (
        ("a", "b"),
        ("c",),
    )
    assert len(LAYERS) > 5
    assert LAYERS[-1] == ("__main__",)
    parts = [part for layer in LAYERS for part in layer]
    assert len(parts) == len(set(parts))
    assert set(parts) == {path.split("/")[1].removesuffix(".py") for path in bridge()} - {"__init__"}
