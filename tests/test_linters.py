# SPDX-License-Identifier: MIT
"""Linters are tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from protopi.project import Project
from tests.conftest import InTools

PROJECT = Project.here()


def tracked() -> list[Path]:
    """Every file of the project that git knows or would add."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in done.stdout.splitlines() if (path := PROJECT.root / name).is_file()]


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=str)
def test_python_is_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=PROJECT.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.image
def test_shell_scripts_are_clean(in_tools: InTools, tmp_path: Path) -> None:
    scripts = [path for path in tracked() if path.read_bytes()[:24].startswith((b"#!/bin/sh", b"#!/usr/bin/env sh"))]
    scripts = [path for path in scripts if path.suffix != ".j2"]
    assert scripts
    names = [str(path.relative_to(PROJECT.root)) for path in scripts]
    command = ["shellcheck", "--shell=dash", "--external-sources", *(f"/host/project/{name}" for name in names)]
    done = in_tools(command, tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_source_file_names_its_licence() -> None:
    sources = [p for p in tracked() if p.suffix in {".py", ".c", ".h", ".dts", ".dtso", ".config"}]
    assert sources
    without = [p for p in sources if "SPDX-License-Identifier:" not in p.read_text()[:200]]
    assert without == []


def test_kernel_code_is_gpl() -> None:
    folders = {PROJECT.root / "mcp" / "kernel", PROJECT.root / "drivers"}
    for path in tracked():
        if path.suffix in {".c", ".h"} and folders & set(path.parents):
            # What the kernel's own generator makes has a choice of two.
            assert re.search(r"SPDX-License-Identifier: (\(\()?GPL-2\.0", path.read_text()[:80]), path


def test_no_address_of_a_mirror_or_registry_stands_in_the_project() -> None:
    address = re.compile(
        r"https?://(?!127\.0\.0\.1|localhost|www\.|mirror\.local|\S*raspberrypi)[\w.-]+\.(org|com|net|io)\b"
    )
    allowed = {"LICENSE"}
    found = []
    for path in tracked():
        if path.name in allowed or path.suffix in {".png", ".svg"}:
            continue
        text = path.read_text(errors="replace")
        found += [
            f"{path.name}: {m[0]}" for m in address.finditer(text) if re.search(r"debian|pypi|npm|snapshot", m[0])
        ]
    assert found == []


def test_documents_link_to_files_that_exist() -> None:
    missing = []
    for path in tracked():
        if path.suffix == ".md":
            targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
            gone = [name for name in targets if "://" not in name and not (path.parent / name).exists()]
            missing += [f"{path.relative_to(PROJECT.root)}: {name}" for name in gone]
    assert missing == []
