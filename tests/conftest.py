# SPDX-License-Identifier: MIT
"""Fixtures of the engine's tests: a store, and the tools tree, so that nothing depends on what the host has."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from protopi.api import Session
from protopi.plan import Planner
from protopi.project import Project
from protopi.sandbox import Bind, Sandbox
from protopi.store import Store
from protopi.ui import Ui

#: Runs a command in the tools tree, with a host folder writable at /host/work, which is where it starts.
InTools = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def warnings_said() -> list[str]:
    """What the store warned about."""
    return []


@pytest.fixture
def store(tmp_path: Path, warnings_said: list[str]) -> Store:
    """An empty store."""
    return Store(tmp_path / "store", warnings_said.append)


@pytest.fixture(scope="session")
def tools_tree() -> Path:
    """The root of the real tools tree, in the user's store; it is made first if need be."""
    project = Project.here()
    session = Session(project, Ui())
    tools = Planner(project, project.lock()).tools
    with session.builder() as builder:
        return builder.build([tools], [tools], "tests")["tools"].out


@pytest.fixture(scope="session")
def in_tools(tools_tree: Path) -> InTools:
    """`in_tools(["cc", "x.c"], folder)`: a program of the tools tree, run in a folder of the host."""

    def run(command: list[str | Path], folder: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        binds = (Bind(folder, "/host/work", writable=True), Bind(Project.here().root, "/host/project"))
        argv = Sandbox(tools_tree, binds, cwd="/host/work").argv(command)
        return subprocess.run(argv, check=check, capture_output=True, text=True)

    return run
