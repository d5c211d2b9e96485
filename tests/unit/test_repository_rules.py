"""Rules of the house that no linter knows: who reads the environment, who wires adapters."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "pacs_cloud"

# Only these modules may catch everything: an outermost edge, or a loop that
# must outlive one job. Each entry says what it does with what it caught.
CATCHES_EVERYTHING: dict[str, str] = {
    "pacs_cloud.audit.recorder": "whatever ends a write, those who wait for it must be told",
    "pacs_cloud.bootstrap.chores": "the outermost edge of a chore: it is told, and tried again",
    "pacs_cloud.bootstrap.in_turns": "raised again once every other work had its turn",
    "pacs_cloud.bootstrap.roles": "the outermost edge of a process: it is logged, and restarted",
    "pacs_cloud.bootstrap.what_if": "the outermost edge of a process: it is logged, and told",
    "pacs_cloud.catalogue.sqlite_file": "hands a group's failure to each caller that waits in it",
    "pacs_cloud.dicom.coding.consumer_images": "translates the codecs' errors into InvalidInstance",
    "pacs_cloud.dicom.dicomjson": "translates pydicom's many errors into InvalidRequest",
    "pacs_cloud.dicom.element_json": "what pydicom cannot read is told from its bytes instead",
    "pacs_cloud.dicom.coding.frame_decoding": "translates the codecs' many errors into InvalidInstance",
    "pacs_cloud.dicomweb.edge": "the outermost edge of a request: the client gets a problem",
    "pacs_cloud.dimse.association": "the outermost edge of an association: the peer gets an answer",
    "pacs_cloud.dimse.performer": "the outermost edge of an operation: the peer gets a status",
    "pacs_cloud.ingest.committer": "the outermost edge of a commit: the pack is tried again",
    "pacs_cloud.ingest.importer": "raised again once no file is being read any more",
    "pacs_cloud.ingest.recovery": "the outermost edge of a file's recovery: the others go on",
    "pacs_cloud.ingest.spool": "the outermost edge of a pack's closing: the next start recovers it",
    "pacs_cloud.ingest.sync_server": "the outermost edge of a process: its end tells the other",
    "pacs_cloud.ingest.syncer": "whatever ends a sync, those who wait for it must be told",
    "pacs_cloud.retrieve.pixel_worker": "the outermost edge of a work: its caller gets an error",
    "pacs_cloud.workers.loop": "gives the job back, and takes the next one",
    "pacs_cloud.workqueue.group_commit": "hands a group's failure to each caller that waits in it",
}

# Modules of more than MOST_LINES lines, each with what would be lost by cutting it.
MOST_LINES = 300
LONG_MODULES: dict[str, str] = {
    "pacs_cloud.dicom.structure": "one walk, whose fast path and general path must agree",
    "pacs_cloud.catalogue.dynamodb": "the adapter: a short method for each verb of the port",
    "pacs_cloud.catalogue.dynamodb_table": "one table's verbs, which share its limits and errors",
    "pacs_cloud.catalogue.items": "every item of the table beside its twin, so both stay in step",
    "pacs_cloud.catalogue.judging": "one table of verdicts: each case is read against the others",
    "pacs_cloud.dimse.associate_codec": "the reader and the writer of one PDU family, item by item",
    "pacs_cloud.dimse.association": "one association's state, which its steps all share",
    "pacs_cloud.dimse.command": "the table of command elements with its reader and writer",
    "pacs_cloud.dimse.upper_layer": "one state machine (PS3.8 9.2), which cannot be read in halves",
    "pacs_cloud.ingest.spool": "one file's life from open to closed, with its two locks",
    "pacs_cloud.settings": "every setting in one place, with its precedence",
}

# Adapters, which only `bootstrap` may name (besides themselves).
ADAPTERS = (
    "pacs_cloud.objectstore.local",
    "pacs_cloud.objectstore.s3",
    "pacs_cloud.catalogue.sqlite",
    "pacs_cloud.catalogue.dynamodb",
    "pacs_cloud.workqueue.sqlite",
    "pacs_cloud.workqueue.sqs",
)


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(PROJECT)}:{getattr(node, 'lineno', 0)}"


def _imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield each import's node and every dotted name that it could mean."""
    package = _name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield node, source
            for alias in node.names:
                yield node, f"{source}.{alias.name}"


def _is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def environment_reads(tree: ast.Module) -> list[ast.AST]:
    """Return the nodes that read the environment, by attribute or by imported name."""
    return [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {alias.name for alias in node.names} & {"environ", "environb", "getenv"}
        )
    ]


def catch_alls(tree: ast.Module) -> list[ast.AST]:
    """Return the handlers of Exception, BaseException or everything that go on afterwards.

    A handler that ends in a bare `raise` only tidies up, and is not one.
    """
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
        everything = node.type is None or names & {"Exception", "BaseException"}
        last = node.body[-1]
        if everything and not (isinstance(last, ast.Raise) and last.exc is None):
            found.append(node)
    return found


def test_only_settings_reads_the_environment() -> None:
    places = [
        _place(path, node)
        for path in _modules()
        if _name(path) != "pacs_cloud.settings"
        for node in environment_reads(_tree(path))
    ]
    assert places == []


def test_only_bootstrap_names_adapters() -> None:
    places = [
        f"{_place(path, node)} imports {name}"
        for path in _modules()
        if not _is_within(_name(path), "pacs_cloud.bootstrap")
        for node, name in _imports(path)
        for adapter in ADAPTERS
        if _is_within(name, adapter) and not _is_within(_name(path), adapter)
    ]
    assert sorted(set(places)) == []


def test_everything_is_caught_only_at_the_listed_edges() -> None:
    found = {_name(path) for path in _modules() if catch_alls(_tree(path))}
    unlisted = [
        _place(path, node)
        for path in _modules()
        if _name(path) not in CATCHES_EVERYTHING
        for node in catch_alls(_tree(path))
    ]
    assert unlisted == []
    assert set(CATCHES_EVERYTHING) - found == set(), "listed, but catches nothing"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: str(path.relative_to(PROJECT))
)
def test_an_init_holds_one_sentence(path: Path) -> None:
    tree = _tree(path)
    said = ast.get_docstring(tree)
    assert said is not None, "no docstring"
    assert "\n\n" not in said, "more than a sentence"
    assert said.endswith("."), "not a sentence"
    rest = tree.body[1:]
    if path.parent == PACKAGE:
        assert [ast.unparse(node).partition(" = ")[0] for node in rest] == ["__version__"]
    else:
        assert rest == [], "more than a docstring"


def test_long_modules_are_listed_with_a_reason() -> None:
    lines = {_name(path): len(path.read_text("utf-8").splitlines()) for path in _modules()}
    long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert {name: count for name, count in long.items() if name not in LONG_MODULES} == {}
    assert set(LONG_MODULES) - set(long) == set(), "listed, but short"
    assert all(len(reason) > 20 for reason in LONG_MODULES.values())


# Written so that this file does not break its own rule.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian.org",
    "security." + "debian.org",
    "docker" + ".io",
    "ghcr" + ".io",
    "quay" + ".io",
)
# Folders of one person's or one machine's disk.
MACHINE_PATH = re.compile(r"(?<![\w./~])/(home|Users|root|work)/[\w.]")


def _repository_texts() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git work tree: its files cannot be told from data and caches")
    for name in listed.stdout.decode().split("\0"):
        path = PROJECT / name
        if not name or not path.is_file() or path.is_symlink():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary


def test_no_file_names_a_registry_or_a_machines_path() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:80]}"
        for path, text in _repository_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if any(host in line for host in REGISTRIES) or MACHINE_PATH.search(line)
    ]
    assert found == []


def test_the_lock_is_plain_exact_versions() -> None:
    lines = (PROJECT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = [line for line in lines if line and not line.startswith("#")]
    exact = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+")
    assert [line for line in versions if not exact.fullmatch(line)] == []
    assert len(versions) > 50


class TestTheRulesThemselves:
    @pytest.mark.parametrize(
        ("source", "count"),
        [
            ("import os\nos.environ['A']", 1),
            ("import os as system\nsystem.getenv('A')", 1),
            ("from os import environ", 1),
            ("import os\nos.getpid()", 0),
        ],
    )
    def test_environment_reads_are_seen(self, source: str, count: int) -> None:
        assert len(environment_reads(ast.parse(source))) == count

    @pytest.mark.parametrize(
        ("handler", "count"),
        [
            ("except Exception:\n  pass", 1),
            ("except:\n  pass", 1),
            ("except (OSError, Exception):\n  pass", 1),
            ("except BaseException:\n  tidy()\n  raise", 0),
            ("except OSError:\n  pass", 0),
        ],
    )
    def test_catch_alls_are_seen(self, handler: str, count: int) -> None:
        assert len(catch_alls(ast.parse(f"try:\n  go()\n{handler}"))) == count

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("cd /" + "home/ana/x", True),
            ("GET /study/" + "work/1", False),
            ("'/" + "root/.cache'", True),
        ],
    )
    def test_machine_paths_are_seen(self, text: str, *, found: bool) -> None:
        assert bool(MACHINE_PATH.search(text)) is found
