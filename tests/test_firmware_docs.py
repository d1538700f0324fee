# SPDX-License-Identifier: MIT
"""docs/firmware.md and the stand-in say the same: every test that it names exists, every source is in its list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = (PROJECT / "docs/firmware.md").read_text()
TESTS = ("tests/test_firmware.py", "tests/test_firmware_select.py")


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def keys() -> set[str]:
    return {row[0] for row in rows("Sources")}


def test_every_test_of_the_table_exists() -> None:
    named: set[str] = set()
    for row in rows("Rules"):
        cells = re.findall(r"`([^`]+)`", row[2])
        assert cells, f"no test for: {row[0]}"
        named.update(cells)
    functions = {
        node.name
        for name in TESTS
        for node in ast.parse((PROJECT / name).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    for name in named:
        assert name in functions or ("/" in name and (PROJECT / name).is_file()), name
    # ... and no test of theirs is left out of it, but for those of the table itself and of the build's own look-up.
    assert functions - named <= {"test_every_refusal_names_its_source", "test_every_key_is_looked_up_in_the_firmware"}


def test_every_source_of_a_rule_is_in_the_list() -> None:
    used: set[str] = set()
    for row in rows("Rules"):
        words = re.sub(r"\([^)]*\)", "", row[1]).split(";")
        used.update(word.strip().partition(":")[0] for word in words)
    assert used == keys()


def sources(path: Path) -> list[str]:
    """The sources that a module gives to its refusals, as they stand in the code."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refusal":
            texts = [
                n.value for n in ast.walk(node.args[1]) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
            assert texts, ast.unparse(node)
            found += [text for text in texts if text]
    return found


def test_every_refusal_s_source_is_in_the_list() -> None:
    found = [text for path in sorted((PROJECT / "protopi/boot/firmware").glob("*.py")) for text in sources(path)]
    assert len(found) > 20
    for text in found:
        assert {word.strip().partition(":")[0] for word in text.split(";")} <= keys(), text
