# SPDX-License-Identifier: MIT
"""Steps run in the sandbox, fail with all that is needed to repeat them, and leave nothing behind when interrupted.

A tiny project with its own recipes is built in a store of its own, in the real tools tree (made first if need be).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from protopi.builder import Builder
from protopi.errors import InfraError, StepError, UserErrors
from protopi.image import Image
from protopi.plan import Planner, Step
from protopi.project import Project
from protopi.recipe import Inputs, Recipe
from protopi.store import Store
from protopi.ui import Ui

pytestmark = pytest.mark.image
REAL = Project.here()
IMAGE = Image(board="pi4", name="tiny")


@pytest.fixture
def tiny(tmp_path: Path, tools_tree: Path) -> Project:
    """A project without recipes, and a store that shares the real tools tree."""
    root = tmp_path / "project"
    shutil.copytree(REAL.root / "protopi", root / "protopi", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "recipes").mkdir()
    (root / "recipes" / "__init__.py").write_text("")
    shutil.copyfile(REAL.lock_path, root / "protopi.lock")
    store = Store(tmp_path / "store")
    (store.root / "builds" / tools_tree.parent.name).symlink_to(tools_tree.parent)
    return Project(root)


class Tiny(Recipe):
    """What the host knows of a recipe; its `build` is text in the project's recipes/NAME.py."""

    name = "tiny"
    summary = "a part"
    licence = "MIT"
    declared = Inputs()

    def inputs(self) -> Inputs:
        return self.declared

    @staticmethod
    def build(ctx: object) -> None:
        raise AssertionError("builds run in the sandbox")


def recipe(project: Project, body: str, name: str = "tiny", declared: Inputs | None = None) -> Recipe:
    """Write recipes/NAME.py with a class Part whose build has this body; returns the host's half."""
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    text = f"from pathlib import Path\nclass Part:\n    @staticmethod\n    def build(ctx):\n{lines}"
    (project.root / "recipes" / f"{name}.py").write_text(text)
    attributes = {"__module__": f"recipes.{name}", "__qualname__": "Part", "name": name}
    attributes["declared"] = declared or Inputs()  # type: ignore[assignment]
    cls = type("Part", (Tiny,), attributes)
    made = cls(IMAGE)
    assert isinstance(made, Recipe)
    return made


def plan(project: Project, *roots: Recipe) -> tuple[list[Step], list[Step]]:
    from protopi import key

    key._hash_source.cache_clear()
    key._imports.cache_clear()
    planner = Planner(project, project.lock())
    return planner.plan(*roots), [planner.step(root) for root in roots]


def build(project: Project, *roots: Recipe, store: Path | str | None = None) -> tuple[Builder, dict[str, Path]]:
    steps, root_steps = plan(project, *roots)
    builder = Builder(project, Store(Path(store or project.root.parent / "store")), Ui())
    return builder, {name: entry.out for name, entry in builder.build(steps, root_steps, "tiny").items()}


def test_a_build_sees_only_the_sandbox(tiny: Project, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    body = f"""
import json, os, socket
try:
    socket.create_connection(("127.0.0.1", 22), 1)
    network = "up"
except OSError as error:
    network = error.strerror
interfaces = [name for _, name in socket.if_nameindex()]
(ctx.out / "seen").write_text(json.dumps(dict(
    host=os.path.exists({str(tmp_path)!r}), interfaces=interfaces, environment=dict(os.environ),
    uid=os.getuid(), cwd=os.getcwd(), project=sorted(p.name for p in Path("/project").rglob("*.py")),
    name=os.uname().nodename, writable=os.access("/usr", os.W_OK), params=ctx.params)))
"""
    _, out = build(tiny, recipe(tiny, body, declared=Inputs(params={"a": [1]})))
    seen: dict[str, Any] = json.loads((out["tiny"] / "seen").read_text())
    assert (seen["host"], seen["uid"], seen["cwd"], seen["name"]) == (False, 0, "/build", "protopi")
    assert seen["interfaces"] == ["lo"]
    assert seen["writable"] is False
    assert seen["params"] == {"a": [1]}
    assert {"TZ", "SOURCE_DATE_EPOCH", "PATH"} <= set(seen["environment"])
    assert not {"USER", "PROTOPI_STORE", "SSH_AUTH_SOCK"} & set(seen["environment"])
    assert "builder.py" not in seen["project"]


def test_an_import_that_the_key_does_not_cover_fails(tiny: Project) -> None:
    (tiny.root / "recipes" / "hidden.py").write_text("X = 1\n")
    with pytest.raises(StepError) as caught:
        build(tiny, recipe(tiny, "import recipes.hidden"))
    assert "No module named 'recipes.hidden'" in caught.value.tail


def test_a_recipe_reads_what_it_needs_and_unchanged_steps_do_not_run(tiny: Project) -> None:
    first = recipe(tiny, '(ctx.out / "a").write_text("from one")', "one")
    second = recipe(
        tiny, '(ctx.out / "b").write_text((ctx.input("one") / "a").read_text())', "two", Inputs(needs=(first,))
    )
    builder, out = build(tiny, second)
    assert (out["two"] / "b").read_text() == "from one"
    assert builder.built == ["one", "two"]
    builder, _ = build(tiny, second)
    assert builder.built == []


def test_a_failed_step_names_its_log_and_a_script_that_repeats_it(tiny: Project) -> None:
    with pytest.raises(StepError) as caught:
        build(tiny, recipe(tiny, 'ctx.run(["sh", "-c", "echo the reason; exit 7"])'))
    error = caught.value
    assert "the reason" in error.tail
    assert "ended with status 7" in error.tail
    assert error.log
    assert "the reason" in error.log.read_text()
    assert error.repeat
    again = subprocess.run([str(error.repeat)], capture_output=True, text=True, check=False)
    assert again.returncode == 3
    assert "the reason" in again.stdout
    assert error.exit_code == 3


def test_a_users_mistake_that_a_build_finds_comes_out_as_the_users_mistake(tiny: Project) -> None:
    body = """
from protopi.errors import UserError
raise UserError("no such thing", where="my.config:3", hint="try another")
"""
    with pytest.raises(UserErrors) as caught:
        build(tiny, recipe(tiny, body))
    assert (caught.value.exit_code, caught.value.problems[0].where) == (2, "my.config:3")


def test_a_failed_build_leaves_no_entry_and_no_temporary_file(tiny: Project) -> None:
    with pytest.raises(StepError):
        build(tiny, recipe(tiny, '(ctx.out / "half").write_text("x")\nraise RuntimeError("late")'))
    store = tiny.root.parent / "store"
    assert [p.name for p in (store / "builds").iterdir() if p.name.startswith("tiny")] == []
    assert list((store / "tmp").iterdir()) == []


def test_a_file_that_changes_while_the_build_begins_is_noticed(tiny: Project) -> None:
    (tiny.root / "data").write_text("before")
    part = recipe(tiny, "pass", declared=Inputs(files=("data",)))
    steps, roots = plan(tiny, part)
    (tiny.root / "data").write_text("after")
    builder = Builder(tiny, Store(tiny.root.parent / "store"), Ui())
    with pytest.raises(InfraError, match="was changed while"):
        builder.build(steps, roots, "tiny")


_DRIVER = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from tests.test_builder import build, recipe
from protopi import cli
from protopi.project import Project
project = Project(Path({root!r}))
def run(arguments, project_, ui):
    build(project, recipe(project, {body!r}), store={store!r} and Path({store!r}))
    return 0
import types
cli.verbs = lambda: ["x"]
cli.load = lambda verb: types.SimpleNamespace(SUMMARY="x", setup=lambda parser: None, run=run)
sys.exit(cli.main(["x"]))
"""


def driver(project: Project, body: str, store: str = "") -> list[str]:
    """A command line that builds a recipe with this body through the real command line's error handling."""
    return [sys.executable, "-c", _DRIVER.format(here=str(REAL.root), root=str(project.root), body=body, store=store)]


def _children_of(marker: str) -> list[str]:
    done = subprocess.run(["pgrep", "-f", marker], capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_ctrl_c_ends_the_children_and_the_next_build_is_right(tiny: Project, signals: list[signal.Signals]) -> None:
    marker = f"3141.{os.getpid()}{len(signals)}{signals[0]}"
    flag = tiny.root / "slow"
    flag.write_text("")
    body = f'(ctx.out / "made").write_text("whole")\nctx.run(["sleep", "{marker}"])'
    child = subprocess.Popen(driver(tiny, body), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not _children_of(f"sleep {marker}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _children_of(f"sleep {marker}")
    for number in signals:
        child.send_signal(number)
        time.sleep(0.02)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert _children_of(f"sleep {marker}") == []
    assert list((tiny.root.parent / "store" / "tmp").iterdir()) == []
    _, out = build(tiny, recipe(tiny, '(ctx.out / "made").write_text("whole")'))
    assert (out["tiny"] / "made").read_text() == "whole"


def test_two_builds_at_once_make_each_step_once(tiny: Project) -> None:
    body = 'import time\ntime.sleep(2)\n(ctx.out / "made").write_text("whole")'
    recipe(tiny, body)
    children = [subprocess.Popen(driver(tiny, body), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [child.communicate(timeout=60)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert sum("tiny: done" in text for text in said) == 1
    assert sum("waiting" in text for text in said) == 1


def test_ctrl_c_while_another_build_has_the_step_ends_at_once(tiny: Project) -> None:
    body = '(ctx.out / "made").write_text("whole")'
    _, (step,) = plan(tiny, recipe(tiny, body))
    store = Store(tiny.root.parent / "store")
    with store.lock(f"tiny-{step.key[:32]}"):
        child = subprocess.Popen(driver(tiny, body), stderr=subprocess.PIPE, text=True)
        assert child.stderr
        while "waiting" not in (line := child.stderr.readline()):
            assert line
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130
        assert time.monotonic() - start < 5
        child.stderr.close()
    assert store.get("tiny", step.key) is None


def test_a_full_disk_is_named_and_the_store_stays_sound(tiny: Project, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    tools = next((tiny.root.parent / "store" / "builds").iterdir())
    script = f"""
mount -t tmpfs -o size=3m none {small}
mkdir -p {small}/builds && ln -s {tools.resolve()} {small}/builds/{tools.name}
exec "$@"
"""
    body = 'with (ctx.out / "big").open("wb") as file:\n    file.write(bytes(64 << 20))'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *driver(tiny, body, str(small))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "no space left" in done.stderr.lower()
    assert str(small) in done.stderr
    assert "Traceback" not in done.stderr
