# SPDX-License-Identifier: MIT
"""The files of mcp.ko that have no I/O, on this host, under libFuzzer with AddressSanitizer and UBSan (mcp/fuzz).

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
    source: str
    faults: tuple[tuple[str, str], ...]


TARGETS = {
    "envelope": Target(
        300_000,
        180,
        "mcp_envelope.c",
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
        "mcp_slots.c",
        (
            ("first + count < slots->units ?", "first + count <= slots->units ?"),
            ("unmark(slots, first + keep, count - keep)", "unmark(slots, first + keep, count)"),
            ("slots->owner[first] = NULL;", ""),
        ),
    ),
    "quota": Target(
        200_000,
        120,
        "mcp_quota.h",
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
        "mcp_rules.c",
        (
            ("(u64)has->max_units * MCP_UNIT", "has->max_units * MCP_UNIT"),
            ("grant->rights & ~has->rights", "false"),
            ("grant->expiry ?: has->expiry", "grant->expiry"),
            ("has->depth >= MCP_MAX_DEPTH", "has->depth > MCP_MAX_DEPTH"),
        ),
    ),
}
CASES = [(name, fault) for name, target in TARGETS.items() for fault in target.faults]


def build(in_tools: InTools, folder: Path, name: str, kernel: str) -> None:
    done = in_tools(
        ["make", "-s", "-C", "/host/project/mcp/fuzz", f"KERNEL={kernel}", "OUT=/host/work", f"/host/work/fuzz_{name}"],
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
    assert kept >= 40
    build(in_tools, tmp_path, name, "/host/project/mcp/kernel")
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
    shutil.copytree(PROJECT / "mcp/kernel", tmp_path / "kernel", ignore=shutil.ignore_patterns("selftests"))
    source = tmp_path / "kernel" / TARGETS[name].source
    text = source.read_text()
    assert fault[0] in text
    source.write_text(text.replace(*fault))
    build(in_tools, tmp_path, name, "/host/work/kernel")
    status, said = fuzz(in_tools, tmp_path, name)
    assert status != 0
    assert re.search("not so:|AddressSanitizer|runtime error|warning", said), said[-3000:]
