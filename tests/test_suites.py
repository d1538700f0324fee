# SPDX-License-Identifier: MIT
"""`./build.py test module` is all that tests the kernel module, and the commands of the docs select something."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from protopi.commands.test import _MODULE

PROJECT = Path(__file__).parent.parent
#: What only tests of the module share.
SHARED = {"module_bench", "test_module"}
#: `./build.py test module --full -- ... -k WORD`
COMMAND = re.compile(r"build\.py test module( --full)? -- [^`\n]*?-k (\w+)")


def is_about_the_module(source: str) -> bool:
    """By what a file of tests says of itself, or what it shares with others that are."""
    tree = ast.parse(source)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return bool(imported & SHARED or re.search(r"(\b|_)(lib)?mcp(\b|_)", ast.get_docstring(tree) or ""))


def selectable(source: str) -> list[tuple[str, bool]]:
    """Each test of a file, and whether only full runs have it."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [
        (node.name, any("mark.full" in ast.unparse(mark) for mark in node.decorator_list))
        for node in functions
        if node.name.startswith("test_")
    ]


def test_the_module_s_suite_has_every_file_about_it() -> None:
    paths = sorted(path for folder in ("boot-tests", "tests") for path in (PROJECT / folder).glob("test_*.py"))
    about = {str(path.relative_to(PROJECT)) for path in paths if is_about_the_module(path.read_text())}
    about |= {f"tests/{path.name}" for path in (PROJECT / "tests").glob("test_mcp_*.py")}
    assert len(about) > 12
    assert about - set(_MODULE) == set()
    assert len(set(_MODULE)) == len(_MODULE)
    for name in _MODULE:
        assert (PROJECT / name).is_file(), name


@pytest.mark.parametrize(
    ("source", "about"),
    [
        ("from module_bench import Bench", True),
        ("from test_module import PROGRAMS", True),
        ('"""What a call over /dev/mcp costs."""', True),
        ('"""mcp_net.ko in the image."""', True),
        ('"""libmcp without a kernel."""', True),
        ('"""protopi_firmware.ko: a driver."""', False),
        ("MCP = 'mcp.ko'", False),
    ],
)
def test_a_file_about_the_module_is_recognised(source: str, about: bool) -> None:
    assert is_about_the_module(source) == about


def test_the_commands_of_the_docs_select_tests() -> None:
    named = [match for path in (PROJECT / "docs").glob("*.md") for match in COMMAND.findall(path.read_text())]
    assert {word for _, word in named} >= {"data_race", "they_are_found"}
    tests = [test for name in _MODULE for test in selectable((PROJECT / name).read_text())]
    for full, word in named:
        assert any(word in name and (full or not only_full) for name, only_full in tests), word
