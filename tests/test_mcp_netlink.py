# SPDX-License-Identifier: MIT
"""The netlink family's page tells what its specification has, and the header that is kept was made of it.

That the header is what the kernel's generator makes today is asked in boot-tests/test_module.py and by the recipe.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parent.parent
SPEC = PROJECT / "mcp/netlink/mcp.yaml"
MANUAL = PROJECT / "docs/netlink.md"
HEADER = PROJECT / "mcp/include/uapi/linux/mcp_netlink.h"


def spec() -> dict[str, Any]:
    read = yaml.safe_load(SPEC.read_text())
    assert isinstance(read, dict)
    return read


def attributes_of(operation: dict[str, Any]) -> set[str]:
    """What a request, its answers, or an event may carry."""
    found: set[str] = set()
    for kind in ("do", "dump"):
        for part in ("request", "reply"):
            found |= set(operation.get(kind, {}).get(part, {}).get("attributes", ()))
    return found | set(operation.get("event", {}).get("attributes", ()))


def attributes_told(section: str) -> set[str]:
    """The attributes in the first column of a section's table."""
    told: set[str] = set()
    for row in re.findall(r"^\| (`[^|]+`) \| (?:string|binary|nest|uint|u8|u32|s32)\b", section, re.MULTILINE):
        told |= set(re.findall(r"`([a-z-]+)`", row))
    return told


def sections(text: str) -> dict[str, str]:
    """The page's sections by each operation that their headings name."""
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    named: dict[str, str] = {}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"`([a-z-]+)`", heading) or (["changed"] if heading == "Events" else []):
            named[name] = body
    return named


def problems(text: str) -> list[str]:
    """Where the page differs from the specification."""
    told, wrong = sections(text), []
    wanted: dict[str, set[str]] = {}
    for operation in spec()["operations"]["list"]:
        wanted[operation["name"]] = attributes_of(operation)
    # Two requests of one section share its table.
    wanted["audit-get"] |= wanted["audit-set"]
    for name, attributes in wanted.items():
        if name not in told:
            wrong.append(f"{name}: no section")
        elif attributes_told(told[name]) != attributes:
            wrong.append(f"{name}: {sorted(attributes_told(told[name]) ^ attributes)}")
    return wrong


def test_the_page_tells_every_request_and_attribute() -> None:
    assert problems(MANUAL.read_text()) == []


def test_what_the_page_leaves_out_is_seen() -> None:
    text = MANUAL.read_text()
    for old, new, word in (
        ("| `sender` | uint | its id", "| its id | uint | its id", "handle-get: ['sender']"),
        ("`arena-min`, `arena-max`", "`arena-min`", "limits-get: ['arena-max']"),
        ("### `tool-get` (dump)", "### tools", "tool-get: no section"),
    ):
        assert text.count(old) == 1, old
        assert word in problems(text.replace(old, new))


def test_the_header_has_every_attribute() -> None:
    header = HEADER.read_text()
    count = 0
    for group in spec()["attribute-sets"]:
        for attribute in group["attributes"]:
            name = f"MCP_A_{group['name']}_{attribute['name']}".upper().replace("-", "_")
            assert re.search(rf"^\t{name}\b", header, re.MULTILINE), name
            count += 1
    assert count > 50


def test_limits_in_the_specification_are_those_of_the_abi() -> None:
    abi = (PROJECT / "mcp/include/uapi/linux/mcp.h").read_text()
    constants = [item for item in spec()["definitions"] if item["type"] == "const"]
    assert constants
    for item in constants:
        assert re.search(rf"^#define {item['name'].upper().replace('-', '_')}\s+{item['value']}\b", abi, re.MULTILINE)


def test_the_page_keeps_its_width() -> None:
    assert [line for line in MANUAL.read_text().splitlines() if len(line) > 150] == []
