# SPDX-License-Identifier: MIT
"""docs/security.md names what shows each statement: those tests and files exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs/security.md"
SELFTESTS = PROJECT / "mcp/kernel/selftests"


def named(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Selftests as program and test, and paths of files, that a page names."""
    tests = []
    for program, first, more in re.findall(r"`(\w+_test): (\w+)`((?:, `\w+`)*)", text):
        tests += [(program, test) for test in (first, *re.findall(r"\w+", more))]
    paths = re.findall(r"`((?:mcp|boot-tests|init|image)/[\w./-]+)`", text)
    return tests, paths


def absent(text: str) -> list[str]:
    """What is named and does not exist."""
    tests, paths = named(text)
    missing = [path for path in paths if not (PROJECT / path).exists()]
    for program, test in tests:
        source = SELFTESTS / f"{program}.c"
        if not source.exists() or not re.search(rf"^static \w+ test_{test}\(", source.read_text(), re.MULTILINE):
            missing.append(f"{program}: {test}")
    return missing


def test_what_it_names_exists() -> None:
    tests, paths = named(PAGE.read_text())
    assert len(tests) >= 30
    assert len(paths) >= 8
    assert absent(PAGE.read_text()) == []


@pytest.mark.parametrize("wrong", ["`handle_test: pasing`", "`handel_test: passing`", "`mcp/kernel/mcp_users.c`"])
def test_a_wrong_name_is_seen(wrong: str) -> None:
    assert len(absent(PAGE.read_text() + f"\n({wrong})\n")) == 1


def test_every_mechanism_says_what_shows_it_and_what_it_does_not() -> None:
    table = PAGE.read_text().split("## Mechanisms")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for row in rows:
        assert len(row) == 4, row
        assert all(cell.strip() for cell in row), row
        assert "`" in row[2], row
