"""deploy/ and the image: each key, command, path and port that they name exists; no secret path is logged.

There is no container engine here: the files are read as far as they matter, and what can be run is run.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from aiohttp import web

import bridge
from bridge.cli.app import USAGE, application
from bridge.delivery.delivery_loop import LAST_ANSWERS
from bridge.first_configuration import SourceAnswers, TargetAnswers, write
from bridge.sandbox import Options, Sandbox
from bridge.settings import parse_duration
from bridge.settings.model import Document, WebhooksSettings
from bridge.settings.setting_names import document_keys, variable_name
from bridges import configuration_of, write_configuration
from documentation import misuse, section, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree: TypeAlias = "dict[str, Tree] | list[str] | str"

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
DATA = "/data"
STOPS_WITHIN = 10
"""Seconds, in which the daemon ends by itself."""

KEYS = {variable_name(path) for path in document_keys(Document)}
LISTENER = WebhooksSettings()


def read(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def plain_lines(name: str) -> list[str]:
    """A file's lines without comments and empty ones, their indentation kept."""
    lines = (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in read(name).splitlines())
    return [line for line in lines if line]


# -- compose --------------------------------------------------------------------------------------


def parsed(lines: list[str]) -> Tree:
    """The part of YAML that the compose files keep to: tables, lists of text, text."""
    if lines[0].lstrip().startswith("- "):
        assert all(line.lstrip().startswith("- ") for line in lines)
        return [line.lstrip()[2:].strip('"') for line in lines]
    table: dict[str, Tree] = {}
    indent = len(lines[0]) - len(lines[0].lstrip())
    heads = [number for number, line in enumerate(lines) if len(line) - len(line.lstrip()) == indent]
    for begin, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        match = re.fullmatch(r"\s*([\w-]+):(?: (.+))?", lines[begin])
        assert match, lines[begin]
        assert match[1] not in table, f"{match[1]} is given twice"
        below = lines[begin + 1 : end]
        assert not (match[2] and below), lines[begin]
        table[match[1]] = parsed(below) if below else (match[2] or "").strip('"')
    return table


def compose(name: str) -> Any:  # noqa: ANN401 - whatever the file says
    return parsed(plain_lines(name))


def default(text: str) -> str:
    """What a value is where the environment says nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_what_is_read_of_yaml_is_what_it_means() -> None:
    text = 'a:\n  b: "1:2"\n  c:\n    - x:y\n    - "z"\nd:\n'
    assert parsed(text.splitlines()) == {"a": {"b": "1:2", "c": ["x:y", "z"]}, "d": ""}


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: 1\n  b: 2", "a b", "- x\ny: 1"])
def test_yaml_that_is_not_understood_is_a_failure(text: str) -> None:
    with pytest.raises(AssertionError):
        parsed(text.splitlines())


def test_the_bridge_can_write_nowhere_but_in_its_one_volume() -> None:
    service = compose("compose.yaml")["services"]["bridge"]
    (volume,) = service["volumes"]
    assert default(volume) == f"/srv/trakor-bridge:{DATA}"
    assert service["read_only"] == "true"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_port_of_the_bridge_is_published_and_only_that_of_webhooks_is_for_caddy() -> None:
    services = compose("compose.yaml")["services"]
    assert "ports" not in services["bridge"]
    assert services["bridge"]["expose"] == [str(LISTENER.port)]
    assert services["caddy"]["ports"] == ["80:80", "443:443"]
    assert re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE) == [str(LISTENER.port)]


def test_stopping_leaves_it_the_time_that_it_needs() -> None:
    assert LAST_ANSWERS < STOPS_WITHIN
    service = compose("compose.yaml")["services"]["bridge"]
    assert parse_duration(service["stop_grace_period"]) > STOPS_WITHIN
    assert parse_duration(unit()["Service"]["TimeoutStopSec"]) > STOPS_WITHIN
    assert re.findall(r"^STOPSIGNAL (.+)$", DOCKERFILE, re.MULTILINE) == ["SIGTERM"]


def test_caddy_gets_the_file_that_is_there_and_the_name_that_it_asks_for() -> None:
    caddy = compose("compose.yaml")["services"]["caddy"]
    mounted = [volume.split(":")[0] for volume in caddy["volumes"] if volume.startswith(".")]
    assert [(DEPLOY / name).is_file() for name in mounted] == [True]
    assert {*re.findall(r"\{\$(\w+)\}", read("Caddyfile"))} == caddy["environment"].keys()


@pytest.mark.parametrize("login", [{"api_key": "k"}, {"email": "a@x.example", "password": "p"}])
def test_secrets_elsewhere_are_shown_where_init_made_them(tmp_path: Path, login: dict[str, str]) -> None:
    """All of them: four fixed files left out a log-in's password, and the status page's."""
    (volume,) = compose("compose.secrets.yaml")["services"]["bridge"]["volumes"]
    assert default(volume) == f"/etc/trakor-bridge/secrets:{DATA}/secrets:ro"
    made = write(
        tmp_path / "config.toml",
        SourceAnswers("https://x.example", **login),
        TargetAnswers("https://y.example", "k"),
    )
    assert {file.parent for file in made if file.name != "config.toml"} == {tmp_path / "secrets"}
    names = set(re.findall(r"_file = \"([^\"]+)\"", (tmp_path / "config.toml").read_text("utf-8")))
    assert {*re.findall(r'^password_file = "(.+)"$', PAGE, re.MULTILINE)} == {"secrets/admin-password"}
    assert names
    assert {name for name in names if not name.startswith(("secrets/", "/run/secrets/"))} == set()


def test_every_compose_command_of_the_page_uses_the_files_that_env_names() -> None:
    """With `--file` said once, the next command without it would start the bridge without its secrets."""
    assert not re.search(r"docker compose [^`\n]*(--file|-f )", PAGE)
    (files,) = re.findall(r"^\$ echo COMPOSE_FILE=(\S+) >> \.env$", PAGE, re.MULTILINE)
    assert [(DEPLOY / name).is_file() for name in files.split(":")] == [True, True]


# -- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_a_proxy_hands_on_webhooks_and_nothing_else(name: str) -> None:
    text = "\n".join(plain_lines(name))
    assert re.findall(r"^\s*(?:handle|location)(?: (\S+))? \{$", text, re.MULTILINE) in (
        ["/webhooks/*", ""],
        ["/webhooks/", "/"],
    )
    (target,) = re.findall(r"^\s*(?:reverse_proxy|proxy_pass) (?:http://)?([\w.:]+)", text, re.MULTILINE)
    assert target in {f"bridge:{LISTENER.port}", f"127.0.0.1:{LISTENER.port}"}
    assert re.search(r"(respond|return) 404;?$", text, re.MULTILINE)
    assert "9090" not in text


def test_a_proxy_lets_through_what_the_listener_takes() -> None:
    (caddy,) = re.findall(r"max_size (\d+)KiB", read("Caddyfile"))
    (nginx,) = re.findall(r"client_max_body_size (\d+)k;", read("nginx.conf"))
    assert int(caddy) * 1024 == int(nginx) * 1024 == LISTENER.max_body_bytes


def test_caddy_logs_no_path_of_a_webhook() -> None:
    """It has no access log unless a site asks for one; its error log holds the whole request."""
    lines = plain_lines("Caddyfile")
    text = "\n".join(lines)
    options, _, sites = text.partition("\n}\n")
    assert lines[0] == "{", "global options come first"
    assert re.search(r"log \{\s+format filter \{\s+wrap json\s+fields \{", options)
    assert re.search(r"^\s+request>uri delete$", options, re.MULTILINE)
    assert not re.search(r"\b(log|log_append)\b", sites)


def test_nginx_logs_no_path_of_a_webhook() -> None:
    """Neither of its two servers has an access log; the error log of the second one would quote requests."""
    text = "\n".join(plain_lines("nginx.conf"))
    servers = re.findall(r"^server \{$.*?^\}$", text, re.MULTILINE | re.DOTALL)
    assert len(servers) == 2
    for server in servers:
        assert "access_log off;" in server
        assert "error_log /dev/null crit;" in server or "proxy_pass" not in server
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text


def test_the_pages_line_makes_a_caddyfile_for_this_machine() -> None:
    (line,) = re.findall(r"^\$ (sed .+?) \| sudo tee", PAGE, re.MULTILINE)
    ran = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603 - the page's
    lines = ran.stdout.splitlines()
    assert "bridge.example.com {" in lines
    assert f"\t\treverse_proxy 127.0.0.1:{LISTENER.port} {{" in lines
    assert f"bridge:{LISTENER.port}" not in ran.stdout


# -- systemd --------------------------------------------------------------------------------------


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd keep their case
    parser.read_string(read("trakor-bridge.service"))
    return parser


def test_the_unit_runs_the_daemon_where_its_state_is() -> None:
    service = unit()["Service"]
    folder = f"/var/lib/{service['StateDirectory']}"
    assert service["WorkingDirectory"] == folder
    name, _, value = service["Environment"].partition("=")
    assert name == "TRAKOR_BRIDGE_CONFIG"
    assert value == f"{folder}/config.toml"
    assert Path(shlex.split(service["ExecStart"])[0]).name == "trakor-bridge"
    assert shlex.split(service["ExecStart"])[1:] == ["run"]


def test_the_unit_starts_again_what_failed_but_not_what_a_person_must_mend() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(USAGE)
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_unit_gives_no_more_than_is_needed() -> None:
    service = unit()["Service"]
    assert service["User"] not in {"", "root"}
    assert service["ProtectSystem"] == "strict"
    assert service["UMask"] == "0077"
    assert service["StateDirectoryMode"] == "0700"
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert service[name] == "true"


# -- the image ------------------------------------------------------------------------------------


def health_check() -> list[str]:
    text = DOCKERFILE.replace("\\\n", "")
    (found,) = re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])$", text, re.MULTILINE)
    command: list[str] = json.loads(found)
    return command


async def checked(port: int) -> int | None:
    """The exit status of the image's health check."""
    program, *arguments = health_check()
    assert program == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**os.environ, "TRAKOR_BRIDGE_ADMIN__PORT": str(port), "http_proxy": "http://127.0.0.1:1"},
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(30):
        return await process.wait()


@pytest.mark.parametrize(("answer", "status"), [(200, 0), (503, 1)])
async def test_the_container_is_healthy_where_events_can_be_accepted(answer: int, status: int) -> None:
    asked = []

    async def ready(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=answer)

    runner = web.ServerRunner(web.Server(ready))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert await checked(runner.addresses[0][1]) == status
        assert asked == ["/readyz"]
    finally:
        await runner.cleanup()


async def test_the_container_is_not_healthy_where_nothing_listens() -> None:
    assert await checked(1) == 1


def test_the_health_check_asks_the_port_that_the_daemon_has() -> None:
    code = health_check()[-1]
    (name, port) = re.findall(r"os\.environ\.get\('(\w+)', '(\d+)'\)", code)[0]
    field = document_keys(Document)["admin", "port"]
    assert name in KEYS
    assert int(port) == field.default


WATCHED = """\
import os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "shutil.copyfile"}
told = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
def watch(event, arguments):
    path = arguments[0] if arguments else None
    if isinstance(path, (str, bytes)) and (
        (event == "open" and arguments[2] & WRITES) or event in CHANGES or event == "sqlite3.connect"
    ):
        name = os.fsdecode(path).removeprefix("file:").partition("?")[0]
        os.write(told, (os.path.abspath(name) + "\\n").encode())
sys.addaudithook(watch)
from bridge.cli import main
main()
"""


RUN = ("run", "--log-format", "json")


async def run_watched(folder: Path, told: Path, *arguments: str) -> None:
    """Run a command as the image would, its folder the volume; it tells what it writes to, or changes."""
    (line,) = re.findall(r"^ENV (.*TMPDIR.*)$", DOCKERFILE, re.MULTILINE)
    settings = dict(re.findall(r"(\w+)=(\S+)", line))
    environment = {**os.environ, "TOLD": str(told), "TMPDIR": settings["TMPDIR"].replace(DATA, str(folder))}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(Path(bridge.__file__).parent.parent)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WATCHED, *arguments, cwd=folder, env=environment, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        said = await to_its_end(process, b'"swept"' if arguments == RUN else None)
    assert process.returncode in {0, 3}, said


async def to_its_end(process: asyncio.subprocess.Process, enough: bytes | None) -> str:
    """What it says to standard error until it ends; once it has said enough it is ended as Docker does it."""
    assert process.stderr is not None
    said = b""
    async for line in process.stderr:
        said += line
        if enough is not None and enough in line:
            enough = None  # a second signal would end it at once
            process.send_signal(signal.SIGTERM)
    await process.wait()
    return said.decode()


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "arguments", [RUN, ("backfill",), ("backfill", "--dry-run"), ("ledger", "backup", "b.db")]
)
async def test_nothing_is_written_outside_the_volume(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Ledger, key, lock, temporary copies: so all the rest of the container can be read-only."""
    folder = tmp_path / "data"
    folder.mkdir()
    async with Sandbox(Options(contacts=3, products=2)) as sandbox:
        ports: dict[str, dict[str, object]] = {
            "admin": {"port": 0},
            "webhooks": {"host": "127.0.0.1", "port": 0, "token": "t" * 32},
        }
        write_configuration(folder, configuration_of(sandbox, sandbox, ports))
        if arguments[0] == "ledger":
            await run_watched(folder, tmp_path / "before", "backfill")
        await run_watched(folder, tmp_path / "told", *arguments)
    written = (tmp_path / "told").read_text("utf-8").splitlines()
    assert any(path.startswith(f"{folder}/") for path in written)
    inside = re.compile(rf"{re.escape(str(folder))}(/|$)|/dev/|/proc/")
    assert [path for path in written if not inside.match(path)] == []


# -- the page -------------------------------------------------------------------------------------


def test_the_page_leads_to_every_file_of_deploy_and_to_no_other() -> None:
    named = {*re.findall(r"\.\./deploy/([\w.-]+)\)", PAGE)}
    assert named == {file.name for file in DEPLOY.iterdir()}


def test_the_events_that_the_page_explains_are_logged() -> None:
    program = " ".join(path.read_text("utf-8") for path in Path(bridge.__file__).parent.glob("**/*.py"))
    (cells,) = (cells for cells in tables(section(PAGE, "Logs")) if "`started`" in cells[0])
    events = [event for cell in cells for event in re.findall(r"`([^`]+)`", cell)]
    assert len(events) > 12
    assert [event for event in events if f'"{event}"' not in program] == []


def commands(text: str) -> Iterator[list[str]]:
    """What a page has the container run: the words after the image's name."""
    for line in re.findall(r"^\$ docker run .*? trakor-bridge (.+)$", text, re.MULTILINE):
        yield shlex.split(re.sub(r"\s*(?:>|\|).*$", "", line))


def test_every_command_for_the_container_would_be_understood() -> None:
    program: Any = application()
    found = [*commands((ROOT / "README.md").read_text("utf-8"))]
    assert len(found) > 1
    assert [words for words in found if misuse(program, words)] == []


def test_every_variable_that_the_page_names_is_a_key_or_one_of_compose() -> None:
    named = {*re.findall(r"\b((?:TRAKOR_)?BRIDGE_[A-Z_]+)\b", PAGE)}
    of_compose = {*re.findall(r"\$\{(\w+)", read("compose.yaml") + read("compose.secrets.yaml"))}
    assert named - {"TRAKOR_BRIDGE_CONFIG"} <= KEYS | of_compose
    assert named >= of_compose
