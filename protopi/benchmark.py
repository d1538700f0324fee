# SPDX-License-Identifier: MIT
"""Run mcp-bench in a booted test image, and say what the figures have to be.

The figures are instructions: the machine runs under `-icount`, with one CPU. They are no times of a Pi 4.
"""

from __future__ import annotations

import itertools
import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.boot.tools import Tools

PROGRAM = "/usr/lib/protopi/mcp-bench"
MODULE = "/usr/lib/protopi/mcp.ko"
#: A whole run takes the host one to three minutes.
SECONDS = 1200
#: Until what is loaded after ready has said what it has to say: two (virtual) seconds without a message.
SETTLED = 'while n=$(dmesg | wc -l); sleep 2; [ "$n" != "$(dmesg | wc -l)" ]; do :; done'
#: How often the module is loaded to see what it costs the rest: a fork alone moves by 0.4 % from one to the next.
ROUNDS = 7
#: What loading the module itself may take: PID 1 does it before ready.
MOST_LOAD = 2_000_000
#: What the loaded module may add to any other operation.
MOST_OVERHEAD = 0.005
#: Shown, not judged: what starting a program costs moves by 0.7 % with the state of the page allocator, module or not.
NOT_JUDGED = frozenset({"exec"})

#: What is measured again with a policy, and the words that attach one under which every call goes through.
WITH_POLICY = "--paths mcp-ioctl,mcp-uring --bytes 128"
POLICIES = {
    "allow_list": "allow_list uid=0:*:*",
    "read_only": "read_only",
    "token_bucket": "token_bucket rate=1000000 burst=1000000",
}

Row = tuple[str, int, int]
#: (row, most times, of row): path, bytes, depth.
RATIOS: tuple[tuple[Row, float, Row], ...] = (
    (("mcp-ioctl", 128, 1), 0.95, ("pipe", 128, 1)),
    (("mcp-uring", 128, 1), 1.20, ("pipe", 128, 1)),
    (("mcp-uring", 128, 1), 1.00, ("unix", 128, 1)),
    (("mcp-uring", 4096, 1), 0.85, ("unix", 4096, 1)),
    (("mcp-ioctl", 128, 1), 0.30, ("broker", 128, 1)),
    (("mcp-uring", 128, 1), 0.40, ("broker", 128, 1)),
)
#: (row, most instructions)
LIMITS: tuple[tuple[Row, int], ...] = ((("mcp-uring", 128, 32), 3000),)


@dataclass(frozen=True, slots=True)
class Aim:
    """A row's cost, as what it is compared with: `most` times another row (`unit` names it), or instructions."""

    title: str
    cost: float | None
    most: float
    unit: str

    @property
    def missed(self) -> str:
        """Why it is not reached, or ""."""
        if self.cost is None:
            return f"{self.title}, {self.unit}: not measured"
        if self.cost <= self.most:
            return ""
        return f"{self.title}: {self.shown(self.cost)} {self.unit}, at most {self.shown(self.most)}"

    def shown(self, value: float) -> str:
        """A cost as people read it."""
        return f"{value:,.0f}" if self.most >= 100 else f"{value:.3f}"


def _title(row: Row) -> str:
    path, size, depth = row
    return f"{path} {size} B" + (f" x{depth}" if depth > 1 else "")


def _key(row: Mapping[str, Any]) -> Row:
    return row["path"], row["bytes"], row["depth"]


def _policies(result: Mapping[str, Any], costs: Mapping[Row, float]) -> list[str]:
    """Rows with a policy that are missing, or so cheap that nobody can have been asked."""
    with_policy = {(row["policy"], row["path"]): row for row in result["rows"] if row["depth"] == 1}
    reasons = []
    for policy in POLICIES:
        for path in ("mcp-ioctl", "mcp-uring"):
            row, without = with_policy.get((policy, path)), costs.get((path, 128, 1))
            if row is None or row["instructions"] is None or without is None:
                reasons.append(f"{path} with {policy}: not measured")
            elif row["instructions"] <= without:
                reasons.append(f"{path} with {policy}: no dearer than without, so it was not asked")
    return reasons


def _costs(rows: Mapping[Row, Mapping[str, Any]]) -> dict[Row, float]:
    return {key: float(row["instructions"]) for key, row in rows.items() if row["instructions"] is not None}


def _without_policy(result: Mapping[str, Any]) -> dict[Row, Mapping[str, Any]]:
    return {_key(row): row for row in result["rows"] if row["policy"] == "none"}


def aims(result: Mapping[str, Any]) -> list[Aim]:
    """Each of RATIOS and LIMITS with what was measured."""
    costs = _costs(_without_policy(result))
    found = []
    for key, most, other in RATIOS:
        ratio = costs[key] / costs[other] if key in costs and other in costs else None
        found.append(Aim(_title(key), ratio, most, f"x {_title(other)}"))
    found += [Aim(_title(key), costs.get(key), limit, "instructions") for key, limit in LIMITS]
    return [*found, Aim("loading mcp.ko", result["load"], MOST_LOAD, "instructions")]


def judge(result: Mapping[str, Any]) -> list[str]:
    """What is wrong with a result: rows that are missing or invalid, and aims that were missed."""
    rows = _without_policy(result)
    costs = _costs(rows)
    reasons = [f"{_title(_key(row))}, policy {row['policy']}: invalid" for row in result["rows"] if not row["valid"]]
    reasons += [aim.missed for aim in aims(result) if aim.missed]
    for key, row in rows.items():
        # One round trip is two bodies.
        if key[0].startswith("mcp-") and row["copied"] != 2 * key[1]:
            reasons.append(f"{_title(key)}: {row['copied']} bytes copied, not {2 * key[1]}")
    reasons += _policies(result, costs)
    if not result["idle_overhead"]:
        reasons.append("the cost to the rest of the system was not measured")
    for name, share in result["idle_overhead"].items():
        if share > MOST_OVERHEAD and name not in NOT_JUDGED:
            reasons.append(f"{name}: {share:.2%} dearer for the module, at most {MOST_OVERHEAD:.1%}")
    return reasons


def overhead(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How much dearer each operation is for the module, as a fraction: 0 where it is not.

    rounds  costs without the module and with it, in turn; the first and the last are without

    A machine drifts while it runs (slabs fill, lists grow), so each round with the module is compared with the mean of
    its two neighbours; the median of that is the result, or the median of what each round without is dearer than the
    one without before it, if that is more. Raises ValueError for rounds in another order.
    """
    if len(rounds) < 3 or len(rounds) % 2 == 0:
        raise ValueError("rounds begin and end without the module")
    shares = {}
    for name in rounds[0]:
        costs = [costs[name] for costs in rounds]
        loaded = [2 * b / (a + c) - 1 for a, b, c in zip(costs[::2], costs[1::2], costs[2::2], strict=False)]
        behind = [c / a - 1 for a, c in itertools.pairwise(costs[::2])]
        shares[name] = max(0.0, statistics.median(loaded), statistics.median(behind))
    return shares


def run_bench(image: Path, board: Board, tools: Tools) -> dict[str, Any]:
    """Boot the image and measure: {"rows": [...], "idle_overhead": {...}, ...}; the last rows are those with a policy.

    The module's cost to the rest is taken in the same boot: unloaded (the boot had loaded it), loaded, unloaded, and so
    on, ROUNDS times; "rest" has all of them, in that order, and "load" the median of what loading it took. Raises
    InfraError when the image does not boot or has no mcp-bench, or when the program printed no result.
    """
    with shell(image, board, tools, Options(extra=("-smp", "1"))) as child:
        if ask(child, f"test -x {PROGRAM} && test -c /dev/mcp; echo $?") != "0":
            raise InfraError("the image has no mcp-bench or no /dev/mcp", hint="use a test image")
        ask(child, SETTLED, 120)
        result = _printed(child, "--json")
        _printed(child, "--rest")  # a machine's first thousand forks cost 2 % more than all later ones
        loads: list[float] = []
        rest = _without(child)
        for _ in range(ROUNDS):
            loads.append(_printed(child, f"--load {MODULE}")["load"])
            rest.append(_printed(child, "--rest"))
            rest += _without(child)
        result["rows"] += _with_policies(child)
    result["idle_overhead"] = overhead(rest)
    result["rest"] = rest
    result["load"] = statistics.median(loads)
    return result


def _without(child: Any) -> list[dict[str, Any]]:
    """What the rest costs once the module is unloaded."""
    if said := ask(child, "rmmod mcp || echo failed"):
        raise InfraError(f"rmmod mcp: {said}")
    return [_printed(child, "--rest")]


def _with_policies(child: Any) -> list[dict[str, Any]]:
    """Rows with each of the shipped policies."""
    rows: list[dict[str, Any]] = []
    if said := ask(child, f"insmod {MODULE} || echo failed"):
        raise InfraError(f"insmod: {said}")
    for name, words in POLICIES.items():
        said = ask(child, f"mcp-policy attach {words}; echo status $?", 120)
        if not said.endswith("status 0"):
            raise InfraError(f"mcp-policy attach {words}: {said}")
        rows += _printed(child, f"--json {WITH_POLICY} --policy {name}")["rows"]
    ask(child, "mcp-policy detach")
    return rows


def _printed(child: Any, option: str) -> dict[str, Any]:
    """The JSON that mcp-bench prints; it goes through a file, so that no message of the kernel gets into it."""
    said = ask(child, f"{PROGRAM} {option} > /tmp/mcp-bench.json 2> /tmp/mcp-bench.log", SECONDS)
    text = ask(child, "cat /tmp/mcp-bench.json")
    try:
        result = json.loads(text)
    except ValueError as error:
        log = ask(child, "cat /tmp/mcp-bench.log")
        raise InfraError(f"mcp-bench {option} printed no result: {said or log or text!r}") from error
    assert isinstance(result, dict)
    return result
