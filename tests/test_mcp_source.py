# SPDX-License-Identifier: MIT
"""What can be said about mcp/ without a kernel: its interface is the published one everywhere, and its page agrees.

The layout is known three times: as it was published (here), as the header declares it, as docs/uapi.md tells it. The
first two are compared as text; what the third says is compiled against the header for five machines.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
HEADER = PROJECT / "mcp/include/uapi/linux/mcp.h"
MANUAL = PROJECT / "docs/uapi.md"
TRANSPORT = PROJECT / "docs/transport.md"
SIZES = {"__u8": 1, "__u16": 2, "__u32": 4, "__s32": 4, "__u64": 8}
#: The interface as it was published: every member with its offset, every number. A line may be added; none may change.
PUBLISHED = """\
struct mcp_envelope 64
0 __u32 magic
4 __u8 version
5 __u8 kind
6 __u16 flags
8 __u32 len
12 __u32 tool
16 __u16 method
18 __u16 proto
20 __u8 nfds
21 __u8 credit
22 __u16 reserved
24 __u64 cookie
32 __u64 parent
40 __u64 sender
48 __u64 deadline
56 __u32 reserve
60 __u32 status
struct mcp_frame 96
0 mcp_envelope envelope
64 __u64 body
72 __u64 fds
80 __u64 result
88 __s32 handle
92 __u32 slot
struct mcp_info 64
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
struct mcp_arena 16
0 __u32 size
4 __u32 flags
8 __u64 bytes
struct mcp_tool 96
0 __u32 id
4 __u32 flags
8 __u8 digest[32]
40 __u8 name[56]
struct mcp_serve 112
0 __u32 size
4 __u32 flags
8 __u32 uid
12 __u32 gid
16 __u32 mode
20 __u32 ntools
24 __u64 tools
32 __u32 max_inflight
36 __u32 tool_size
40 __u64 generation
48 __u64 sender
56 __u8 name[56]
struct mcp_update 32
0 __u32 size
4 __u32 flags
8 __u32 ntools
12 __u32 tool_size
16 __u64 tools
24 __u64 generation
struct mcp_pin 40
0 __u32 tool
4 __u32 flags
8 __u8 digest[32]
struct mcp_open 104
0 __u32 size
4 __u32 flags
8 __u32 rights
12 __u32 npins
16 __u64 pins
24 __u64 generation
32 __u8 name[56]
88 __u64 sender
96 __s32 fd
100 __u32 pin_size
struct mcp_grant 96
0 __u32 size
4 __u32 flags
8 __s32 handle
12 __u32 rights
16 __u32 npins
20 __u32 max_inflight
24 __u64 pins
32 __u64 max_bytes
40 __u64 expiry
48 __u64 sender
56 __s32 fd
60 __u32 pin_size
64 __u8 label[32]
struct mcp_revoke 24
0 __u32 size
4 __u32 flags
8 __s32 handle
12 __u32 reserved
16 __u64 sender
struct mcp_peer 80
0 __u32 size
4 __u32 flags
8 __u64 cookie
16 __u64 sender
24 __u32 uid
28 __u32 gid
32 __u32 pid
36 __u32 rights
40 __u64 start_time
48 __u8 label[32]
struct mcp_require 64
0 __u32 size
4 __u32 flags
8 __u8 name[56]
MCP_ABI_VERSION 0x1
MCP_NAME_MAX 0x30
MCP_NAME_SIZE 0x38
MCP_LABEL_SIZE 0x20
MCP_DIGEST_SIZE 0x20
MCP_MAX_BODY 0x100000
MCP_MAX_FDS 0x10
MCP_TOOL_ID_MAX 0x3ff
MCP_MAX_DEPTH 0x4
MCP_MAX_NESTING 0x4
MCP_MAX_INFLIGHT 0x100
MCP_ARENA_MIN 0x10000
MCP_ARENA_MAX 0x1000000
MCP_MAGIC 0x3150434d
MCP_ENVELOPE_VERSION 0x1
MCP_REQUEST 0x1
MCP_RESPONSE 0x2
MCP_NOTIFY 0x3
MCP_CANCEL 0x4
MCP_F_KERNEL 0x1
MCP_F_FDS_LOST 0x2
MCP_PROTO_OTHER 0x0
MCP_PROTO_2024_11_05 0x1
MCP_PROTO_2025_03_26 0x2
MCP_PROTO_2025_06_18 0x3
MCP_PROTO_2025_11_25 0x4
MCP_PROTO_2026_07_28 0x5
MCP_METHOD_OTHER 0x0
MCP_METHOD_SERVER_DISCOVER 0x1
MCP_METHOD_INITIALIZE 0x2
MCP_METHOD_PING 0x3
MCP_METHOD_TOOLS_LIST 0x4
MCP_METHOD_TOOLS_CALL 0x5
MCP_METHOD_RESOURCES_LIST 0x6
MCP_METHOD_RESOURCES_TEMPLATES_LIST 0x7
MCP_METHOD_RESOURCES_READ 0x8
MCP_METHOD_RESOURCES_SUBSCRIBE 0x9
MCP_METHOD_RESOURCES_UNSUBSCRIBE 0xa
MCP_METHOD_PROMPTS_LIST 0xb
MCP_METHOD_PROMPTS_GET 0xc
MCP_METHOD_COMPLETION_COMPLETE 0xd
MCP_METHOD_LOGGING_SET_LEVEL 0xe
MCP_METHOD_SUBSCRIPTIONS_LISTEN 0xf
MCP_METHOD_SAMPLING_CREATE_MESSAGE 0x10
MCP_METHOD_ELICITATION_CREATE 0x11
MCP_METHOD_ROOTS_LIST 0x12
MCP_METHOD_TASKS_GET 0x13
MCP_METHOD_TASKS_UPDATE 0x14
MCP_METHOD_TASKS_CANCEL 0x15
MCP_METHOD_NOTIFICATION 0x16
MCP_METHOD_TASKS_LIST 0x17
MCP_METHOD_TASKS_RESULT 0x18
MCP_CANCEL_OFFSET 0x40
MCP_BODY_OFFSET 0x80
MCP_NO_SLOT 0x0
MCP_INFO_SIZE_VER0 0x40
MCP_FEATURE_URING 0x1
MCP_FEATURE_POLICY 0x2
MCP_FEATURE_NETLINK 0x4
MCP_FEATURE_AUDIT 0x8
MCP_ARENA_TAKES_FDS 0x1
MCP_TOOL_READ_ONLY 0x1
MCP_SERVE_BOOT 0x1
MCP_SERVE_REQUIRE_POLICY 0x2
MCP_RIGHT_QUERY 0x1
MCP_RIGHT_READ 0x2
MCP_RIGHT_WRITE 0x4
MCP_RIGHT_FDS 0x8
MCP_RIGHT_GRANT 0x10
MCP_PIN_DIGEST 0x1
MCP_IOC_MAGIC 0xfa
MCP_ARENA_SIZE_VER0 0x10
MCP_SERVE_SIZE_VER0 0x70
MCP_UPDATE_SIZE_VER0 0x20
MCP_OPEN_SIZE_VER0 0x68
MCP_GRANT_SIZE_VER0 0x60
MCP_REVOKE_SIZE_VER0 0x18
MCP_PEER_SIZE_VER0 0x50
MCP_REQUIRE_SIZE_VER0 0x40
MCP_IOC_INFO 0xc040fa00
MCP_IOC_ARENA 0x4010fa01
MCP_IOC_SERVE 0xc070fa02
MCP_IOC_UPDATE 0xc020fa03
MCP_IOC_OPEN 0xc068fa04
MCP_IOC_GRANT 0xc060fa05
MCP_IOC_REVOKE 0x4018fa06
MCP_IOC_CALL 0xc060fa07
MCP_IOC_REPLY_WAIT 0xc060fa08
MCP_IOC_RELEASE 0xfa09
MCP_IOC_PEER 0xc050fa0a
MCP_IOC_REQUIRE 0x4040fa0b
MCP_CMD_SEND 0x4060fa80
MCP_CMD_CALL 0x4060fa81
MCP_CMD_RECV_PARK 0xfa82
MCP_CMD_REPLY_AND_PARK 0x4060fa83
MCP_CMD_NOTIFY 0x4060fa84
MCP_CMD_RELEASE 0xfa85
"""

Member = tuple[int, str, str]
_ITEM = re.compile(
    r"^#define (?P<name>MCP_\w+)(?:\((?P<arguments>[\w, ]+)\))?\s+(?P<value>.+)$|"
    r"^(?P<kind>struct|enum) (?P<tag>\w+) \{\n(?P<body>[^}]*)^\};",
    re.MULTILINE,
)


# ---- The header, read as text ----------------------------------------------------------------------------------------


def ioc(direction: int, magic: int, number: int, size: int = 0) -> int:
    """`_IOC` of asm-generic/ioctl.h."""
    return direction << 30 | size << 16 | magic << 8 | number


#: Words of that header; the argument of `_IOW` is a structure, which `value()` has made its size.
IOCTL: dict[str, object] = {
    "_IOC": ioc,
    "_IOC_WRITE": 1,
    "_IOC_READ": 2,
    "_IO": partial(ioc, 0),
    "_IOW": partial(ioc, 1),
    "_IOR": partial(ioc, 2),
    "_IOWR": partial(ioc, 3),
}


class Header:
    """A header's structures and numbers; it refuses what 32-bit callers would see differently."""

    def __init__(self, text: str) -> None:
        self.structs: dict[str, list[Member]] = {}
        self.sizes: dict[str, int] = dict(SIZES)
        self.constants: dict[str, int] = {}
        self.macros: dict[str, object] = {}
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).replace("\\\n", " ")
        for item in _ITEM.finditer(text):
            self._item(item)

    def _item(self, item: re.Match[str]) -> None:
        if item["kind"] == "struct":
            self._struct(item["tag"], item["body"])
        elif item["kind"] == "enum":
            for name, value in re.findall(r"^\t(\w+)\s*= (\w+),", item["body"], re.MULTILINE):
                self.constants[name] = self.value(value)
        elif item["arguments"]:
            self.macros[item["name"]] = partial(self._macro, item["arguments"].split(", "), item["value"])
        else:
            self.constants[item["name"]] = self.value(item["value"])

    def _macro(self, names: list[str], expression: str, *values: int) -> int:
        return self.value(expression, **dict(zip(names, values, strict=True)))

    def value(self, expression: str, **arguments: int) -> int:
        """A constant expression of C: Python's own, once suffixes are gone and structures are their sizes."""
        expression = re.sub(r"\b(0x[0-9a-f]+|\d+)u?l*\b", r"\1", expression)
        expression = re.sub(r"struct (\w+)", r"sizeof['\1']", expression)
        words = {**IOCTL, **self.macros, **self.constants, **arguments, "sizeof": self.sizes}
        return int(eval(expression, {"__builtins__": {}}, words))

    def _struct(self, name: str, body: str) -> None:
        members: list[Member] = []
        offset = 0
        lines = [line for line in body.splitlines() if line.strip()]
        for line in lines:
            found = re.fullmatch(r"\t(?:struct )?(\w+) (\w+)(?:\[(\w+)\])?;\s*", line)
            assert found, f"struct {name}: {line!r} is no member that this test can read"
            kind, member, count = found[1], found[2], found[3] and self.value(found[3])
            align = min(self.sizes[kind], 8)
            assert offset % align == 0, f"{name}.{member} would be padded, and not the same for 32-bit callers"
            members.append((offset, kind, f"{member}[{count}]" if count else member))
            offset += self.sizes[kind] * (count or 1)
        largest = max(min(self.sizes[kind], 8) for _, kind, _ in members)
        assert offset % largest == 0, f"struct {name} would end with padding"
        self.structs[name] = members
        self.sizes[name] = offset

    def text(self) -> str:
        """The interface in lines, for comparison."""
        lines = []
        for name, members in self.structs.items():
            lines.append(f"struct {name} {self.sizes[name]}")
            lines.extend(f"{offset} {kind} {member}" for offset, kind, member in members)
        lines.extend(f"{name} {value:#x}" for name, value in self.constants.items())
        return "".join(line + "\n" for line in lines)


def test_published_interface_stays() -> None:
    assert Header(HEADER.read_text()).text() == PUBLISHED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\t__u32 max_name;\n", "\t__u32 max_names;\n"),
        ("\t__u32 max_fds;\n\t__u32 max_depth;\n", "\t__u32 max_depth;\n\t__u32 max_fds;\n"),
        ("MCP_RIGHT_WRITE\t\t0x4", "MCP_RIGHT_WRITE\t\t0x2"),
        ("MCP_NOTIFY\t= 3", "MCP_NOTIFY\t= 4"),
        ("MCP_IOC_MAGIC, 0x84,", "MCP_IOC_MAGIC, 0x86,"),
        ("#define MCP_LABEL_SIZE\t\t32", "#define MCP_LABEL_SIZE\t\t40"),
        ("\t__s32 fd;\n\t__u32 pin_size;\n};", "\t__s32 fd;\n\t__u32 pin_size;\n\t__u64 more;\n};"),
        ("\t__u64 parent;\n\t__u64 sender;\n", "\t__u64 sender;\n\t__u64 parent;\n"),
    ],
)
def test_a_change_is_seen(old: str, new: str) -> None:
    text = HEADER.read_text()
    assert text.count(old) >= 1
    assert Header(text.replace(old, new, 1)).text() != PUBLISHED


def test_a_hole_is_refused() -> None:
    text = HEADER.read_text()
    old = "\t__u32 flags;\n\t__u64 bytes;\n"
    assert old in text
    with pytest.raises(AssertionError, match="bytes would be padded"):
        Header(text.replace(old, "\t__u64 bytes;\n"))
    with pytest.raises(AssertionError, match="would end with padding"):
        Header(text.replace(old, old + "\t__u32 last;\n"))


# ---- The manual ------------------------------------------------------------------------------------------------------

_TABLE = re.compile(r"^`struct (\w+)`: (\d+) bytes\b[^|]*?\n\n((?:\|.*\n)+)", re.MULTILINE)
_ROW = re.compile(r"^\| (\d+) \| `(?:struct )?(\w+) (\w+)(?:\[(\d+)\])?` \| (in|out|in, out) \| .+ \|$", re.MULTILINE)
_CONSTANT = re.compile(r"^\| `(MCP_\w+)` \| `?([^|`]+)`? \|", re.MULTILINE)


def manual_structs() -> dict[str, list[Member]]:
    """Every table of a structure in docs/uapi.md; no row is passed over, and each table's size is its rows'."""
    structs: dict[str, list[Member]] = {}
    sizes = {kind.removeprefix("__"): size for kind, size in SIZES.items()}
    for name, size, table in _TABLE.findall(MANUAL.read_text()):
        rows = _ROW.findall(table)
        assert len(rows) == len(table.splitlines()) - 2, f"a row of struct {name} has another form"
        assert name not in structs, f"struct {name} has two tables"
        structs[name], end = [], 0
        for offset, kind, member, count, _ in rows:
            assert int(offset) == end, f"struct {name}: a hole before {member}"
            end += sizes[kind] * int(count or 1)
            spelled = kind if kind.startswith("mcp_") else f"__{kind}"
            structs[name].append((int(offset), spelled, f"{member}[{count}]" if count else member))
        assert end == int(size), name
        sizes[name] = end
    return structs


def test_manual_tells_every_layout() -> None:
    assert manual_structs() == Header(HEADER.read_text()).structs


def test_manual_tells_every_number() -> None:
    header = Header(HEADER.read_text())
    rows = _CONSTANT.findall(MANUAL.read_text())
    assert len(rows) == len(dict(rows)), "a number has two rows"
    assert {name: header.value(value) for name, value in rows} == header.constants


def test_a_hint_stands_for_what_its_name_says() -> None:
    rows = re.findall(r"^\| `MCP_(METHOD|PROTO)_(\w+)` \| \d+ \| (.+) \|$", MANUAL.read_text(), re.MULTILINE)
    assert len(rows) > 25
    for kind, name, meaning in rows:
        if name == "OTHER":
            continue
        if kind == "PROTO":
            assert meaning == f"revision {name.replace('_', '-')}"
        elif name == "NOTIFICATION":
            assert meaning == "anything under `notifications/`"
        else:
            method = meaning.strip("`")
            assert re.sub(r"(?=[A-Z])|/", "_", method).upper() == name


def test_every_error_of_sending_has_a_meaning_for_users() -> None:
    sending = MANUAL.read_text().partition("### Errors of sending")[2].partition("\n## ")[0]
    told = TRANSPORT.read_text().partition("## Errors of the kernel")[2].partition("\n## ")[0]
    errors = set(re.findall(r"`(E[A-Z0-9]+)`", "".join(re.findall(r"^\| (.+?) \|", sending, re.MULTILINE))))
    assert len(errors) > 15
    assert errors <= set(re.findall(r"`(E[A-Z0-9]+)`", "".join(re.findall(r"^\| (.+?) \|", told, re.MULTILINE))))


def test_documents_keep_their_width() -> None:
    for path in (MANUAL, TRANSPORT):
        assert [line for line in path.read_text().splitlines() if len(line) > 150] == [], path


# ---- On every machine ------------------------------------------------------------------------------------------------

ARM = ("-isystem", "/usr/aarch64-linux-gnu/include")
X86 = ("-isystem", "/usr/include", "-isystem", "/usr/include/x86_64-linux-gnu")
#: i386 aligns u64 to 4 bytes, so a hole shows there that no other shows.
COMPILERS = {
    "arm64": ("aarch64-linux-gnu-gcc", *ARM),
    "arm64-clang": ("clang-19", "--target=aarch64-linux-gnu", *ARM),
    "arm": ("clang-19", "--target=arm-linux-gnueabihf", *ARM),
    "i386": ("clang-19", "--target=i386-linux-gnu", *X86),
    "x86_64": ("gcc", *X86),
}
FLAGS = ("-std=c17", "-Wall", "-Wextra", "-Wpadded", "-Werror", "-nostdinc", "-fsyntax-only", "-Iinclude")


def program_of_the_manual() -> str:
    """A C file that compiles where the interface is what docs/uapi.md says: offsets, sizes, no hole, the numbers."""
    lines = ["#include <linux/mcp.h>"]

    def same(what: str, value: int | str, label: str) -> None:
        lines.append(f'_Static_assert({what} == {value}, "{label}");')

    sizes = {kind.removeprefix("__"): size for kind, size in SIZES.items()}
    for name, members in manual_structs().items():
        end = 0
        for offset, kind, spelled in members:
            member, _, count = spelled.rstrip("]").partition("[")
            size = sizes[kind.removeprefix("__")] * int(count or 1)
            same(f"__builtin_offsetof(struct {name}, {member})", offset, f"offset of {name}.{member}")
            same(f"sizeof(((struct {name} *)0)->{member})", size, f"size of {name}.{member}")
            if kind.startswith("__"):
                element = f"((struct {name} *)0)->{member}" + ("[0]" if count else "")
                same(f"_Generic({element}, {kind}: 1, default: 0)", 1, f"type of {name}.{member}")
            end = offset + size
        same(f"sizeof(struct {name})", end, f"size of {name}")
        sizes[name] = end
    for name, value in _CONSTANT.findall(MANUAL.read_text()):
        same(name, f"({value})", name)
    assert len(lines) > 300
    return "\n".join(lines) + "\n"


def compile_layout(in_tools: InTools, folder: Path, compiler: str, header: str) -> tuple[int, str]:
    target = folder / "include/linux/mcp.h"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(header)
    (folder / "layout.c").write_text(program_of_the_manual())
    done = in_tools([*COMPILERS[compiler], *FLAGS, "layout.c"], folder, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.image
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_layout_is_the_manual_s_on_every_machine(in_tools: InTools, tmp_path: Path, compiler: str) -> None:
    text = HEADER.read_text()
    assert compile_layout(in_tools, tmp_path, compiler, text) == (0, "")
    for old, new, word in (
        ("\t__u32 max_name;\n", "", "max_name"),
        ("\t__s32 fd;\n", "\t__u32 fd;\n", "type of mcp_open.fd"),
        ("\t__u64 bytes;\n", "\t__u64 bytes;\n\t__u32 last;\n", "size of mcp_arena"),
        ("MCP_IOC_MAGIC, 0x84,", "MCP_IOC_MAGIC, 0x86,", "MCP_CMD_NOTIFY"),
    ):
        assert old in text
        status, said = compile_layout(in_tools, tmp_path, compiler, text.replace(old, new, 1))
        assert status != 0
        assert word in said


@pytest.mark.image
def test_examples_of_the_manual_compile(in_tools: InTools, tmp_path: Path) -> None:
    examples = re.findall(r"^```c\n/\* (\w+\.c): .*?^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    assert examples == ["server.c", "client.c", "uring.c"]
    flags = (
        "-std=c17",
        "-D_GNU_SOURCE",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-isystem",
        "/host/project/mcp/include/uapi",
    )
    for text in re.findall(r"^```c\n(/\* \w+\.c: .*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / "example.c").write_text(text)
        done = in_tools(["aarch64-linux-gnu-gcc", *flags, "-o", "/dev/null", "-c", "example.c"], tmp_path, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_file_has_its_licence() -> None:
    for path in (PROJECT / "mcp").rglob("*"):
        # A fuzzer's inputs are bytes that nobody wrote (LICENSING.md).
        if path.is_file() and PROJECT / "mcp/fuzz/corpus" not in path.parents:
            # A script begins with its interpreter; what the kernel's generator makes has a choice of two licences.
            start = "".join(path.read_text().splitlines(keepends=True)[:2])
            assert re.search(r"SPDX-License-Identifier: (\(\()?GPL-2\.0", start), path
