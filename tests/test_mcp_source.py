# SPDX-License-Identifier: MIT
"""What can be said about mcp/ without a kernel: the layout of its interface, and that its page tells the same."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parent.parent
HEADER = PROJECT / "mcp/include/uapi/linux/mcp.h"
SIZES = {"__u32": 4, "__u64": 8}
#: struct mcp_info as it was published. A line may be added below; none may ever change.
PUBLISHED = """\
0 __u32 size
4 __u32 flags
8 __u32 abi_version
12 __u32 max_name
16 __u64 features
24 __u64 max_body
32 __u32 max_fds
36 __u32 max_depth
40 __u32 max_inflight
44 __u32 reserved0
48 __u64 reserved1[2]
"""


def layout(name: str) -> list[tuple[int, str, str]]:
    """Members of a structure of the header: offset, type, name; every one aligned to its size, none padded."""
    body = re.search(rf"^struct {name} {{\n(.*?)^}};", HEADER.read_text(), re.S | re.M)
    assert body, f"no struct {name}"
    members, offset = [], 0
    for kind, member in re.findall(r"^\t(\w+) ([\w\[\]]+);$", body[1], re.M):
        count = re.search(r"\[(\d+)\]", member)
        assert offset % SIZES[kind] == 0, f"{member} would be padded, and not the same for 32-bit callers"
        members.append((offset, kind, member))
        offset += SIZES[kind] * (int(count[1]) if count else 1)
    assert offset % 8 == 0
    return members


def test_published_layout_stays() -> None:
    text = "".join(f"{offset} {kind} {member}\n" for offset, kind, member in layout("mcp_info"))
    assert text.startswith(PUBLISHED)


def test_manual_tells_the_layout() -> None:
    manual = (PROJECT / "docs/uapi.md").read_text()
    for offset, kind, member in layout("mcp_info"):
        assert f"| {offset} | `{kind.removeprefix('__')} {member}` |" in manual


def test_every_file_has_its_licence() -> None:
    for path in (PROJECT / "mcp").rglob("*"):
        if path.is_file():
            assert "SPDX-License-Identifier: GPL-2.0" in path.read_text().partition("\n")[0], path
