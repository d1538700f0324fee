# SPDX-License-Identifier: MIT
"""The files of the modules that have no I/O, on this host, under libFuzzer with AddressSanitizer and UBSan (mcp/fuzz).

Each harness compares them with a model of its own; it starts from the kept corpus and runs a fixed number of inputs.
Each has controls: with one fault in a copy of the source, the same run must fail.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import InTools

PROJECT = Path(__file__).parent.parent
FUZZ = PROJECT / "mcp/fuzz"


@dataclass(frozen=True, slots=True)
class Target:
    """A harness: inputs beyond the corpus, their longest, the file that it compiles, and faults (old, new) in it."""

    runs: int
    longest: int
    #: In mcp/.
    source: str
    faults: tuple[tuple[str, str], ...]
    #: Of the corpus: a frame has fewer ways through it than an arena.
    kept: int = 40


TARGETS = {
    "envelope": Target(
        300_000,
        180,
        "kernel/mcp_envelope.c",
        (
            ("envelope->nfds > MCP_MAX_FDS", "envelope->nfds > MCP_MAX_FDS + 1"),
            ("|| envelope->reserved ||", "||"),
            ("envelope->len > MCP_MAX_BODY", "envelope->len >= MCP_MAX_BODY"),
            ("if (length > max ||", "if (length > max + 1 ||"),
        ),
    ),
    "slots": Target(
        30_000,
        96,
        "kernel/mcp_slots.c",
        (
            ("first + count < slots->units ?", "first + count <= slots->units ?"),
            ("unmark(slots, first + keep, count - keep)", "unmark(slots, first + keep, count)"),
            ("slots->owner[first] = NULL;", ""),
        ),
    ),
    "quota": Target(
        200_000,
        120,
        "kernel/mcp_quota.h",
        (
            ("units <= quota->max_units &&", ""),
            ("	mcp_quota_uncharge(quota, requests, units);\n	return false;", "	return false;"),
            ("atomic64_set(&quota->taken, now);\n	return true;", "return true;"),
            ("#define MCP_QUOTA_SHIFT	40", "#define MCP_QUOTA_SHIFT	32"),
        ),
    ),
    "rules": Target(
        200_000,
        160,
        "kernel/mcp_rules.c",
        (
            ("(u64)has->max_units * MCP_UNIT", "has->max_units * MCP_UNIT"),
            ("grant->rights & ~has->rights", "false"),
            ("grant->expiry ?: has->expiry", "grant->expiry"),
            ("has->depth >= MCP_MAX_DEPTH", "has->depth > MCP_MAX_DEPTH"),
        ),
    ),
    "frame": Target(
        300_000,
        160,
        "net/mcp_net_frame.c",
        (
            ("|| bytes > mtu", "|| bytes > mtu + 1"),
            ("bytes >= MCP_NET_OVERHEAD &&", "bytes >= MCP_NET_OVERHEAD - 1 &&"),
            ("!header->counter && header->session", "!header->counter"),
            ("message->flags || message->status", "message->flags"),
            ("clamp(div_u64(left, NSEC_PER_MSEC), 1ull, ~0u)", "div_u64(left, NSEC_PER_MSEC)"),
        ),
        kept=20,
    ),
    "replay": Target(
        20_000,
        64,
        "net/mcp_net_replay.c",
        (
            ("counter <= window->largest - REACH", "counter < window->largest - REACH"),
            ("#define REACH (MCP_NET_WINDOW_BITS - 64)", "#define REACH MCP_NET_WINDOW_BITS"),
            ("for (; ahead; ahead--)", "for (; ahead > 1; ahead--)"),
            ("counter / 64 - window->largest / 64", "(counter - window->largest) / 64"),
        ),
    ),
}
CASES = [(name, fault) for name, target in TARGETS.items() for fault in target.faults]


def build(in_tools: InTools, folder: Path, name: str, mcp: str) -> None:
    modules = [f"KERNEL={mcp}/kernel", f"NET={mcp}/net"]
    done = in_tools(
        ["make", "-s", "-C", "/host/project/mcp/fuzz", *modules, "OUT=/host/work", f"/host/work/fuzz_{name}"],
        folder,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def fuzz(in_tools: InTools, folder: Path, name: str) -> tuple[int, str]:
    """Run a harness; its exit status, and all that it said."""
    (folder / "new").mkdir(exist_ok=True)
    target = TARGETS[name]
    # One seed: the same inputs each time.
    options = ["-seed=1", f"-runs={target.runs}", f"-max_len={target.longest}", "-artifact_prefix=/host/work/"]
    command = [f"/host/work/fuzz_{name}", *options, "/host/work/new", f"/host/project/mcp/fuzz/corpus/{name}"]
    done = in_tools(command, folder, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_harness_is_run_here() -> None:
    assert {path.stem for path in FUZZ.glob("fuzz_*.c")} == {f"fuzz_{name}" for name in TARGETS}
    assert {path.name for path in (FUZZ / "corpus").iterdir()} == set(TARGETS)


@pytest.mark.image
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(in_tools: InTools, tmp_path: Path, name: str) -> None:
    kept = len(list((FUZZ / "corpus" / name).iterdir()))
    assert kept >= TARGETS[name].kept
    build(in_tools, tmp_path, name, "/host/project/mcp")
    status, said = fuzz(in_tools, tmp_path, name)
    assert status == 0, said[-3000:]
    loaded = re.search(r"INFO: +(\d+) files found in /host/project", said)
    assert loaded, said
    assert int(loaded[1]) == kept
    ran = re.search(r"^Done (\d+) runs", said, re.MULTILINE)
    assert ran, said
    assert int(ran[1]) >= TARGETS[name].runs


@pytest.mark.image
@pytest.mark.parametrize(
    ("name", "fault"), CASES, ids=[f"{name}: {fault[1].strip() or fault[0]}" for name, fault in CASES]
)
def test_a_fault_is_found(in_tools: InTools, tmp_path: Path, name: str, fault: tuple[str, str]) -> None:
    for module in ("kernel", "net"):
        shutil.copytree(PROJECT / "mcp" / module, tmp_path / module, ignore=shutil.ignore_patterns("selftests"))
    source = tmp_path / TARGETS[name].source
    text = source.read_text()
    assert fault[0] in text
    source.write_text(text.replace(*fault))
    build(in_tools, tmp_path, name, "/host/work")
    status, said = fuzz(in_tools, tmp_path, name)
    assert status != 0
    assert re.search("not so:|AddressSanitizer|runtime error|warning", said), said[-3000:]
