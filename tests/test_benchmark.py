# SPDX-License-Identifier: MIT
"""protopi.benchmark: who judges the figures reports each way in which they can be wrong."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from protopi.benchmark import LIMITS, MOST_LOAD, MOST_OVERHEAD, POLICIES, RATIOS, Row, judge, overhead
from protopi.commands.bench import BARS_FROM, print_result
from protopi.picture import as_svg


def result(**changed: float) -> dict[str, Any]:
    """A result that meets every aim exactly; `changed` replaces the cost of a row, "path_bytes_depth"."""
    costs: dict[Row, float] = {("pipe", 128, 1): 8000, ("unix", 128, 1): 12000, ("broker", 128, 1): 33000}
    costs |= {("unix", 4096, 1): 17000}
    for key, most, other in RATIOS:
        costs[key] = min(costs.get(key, 1e9), most * costs[other])
    costs |= {key: float(limit) for key, limit in LIMITS}
    for name, cost in changed.items():
        path, size, depth = name.rsplit("_", 2)
        costs[path.replace("_", "-"), int(size), int(depth)] = cost
    rows = [
        {
            "path": path,
            "bytes": size,
            "depth": depth,
            "policy": "none",
            "instructions": cost,
            "copied": 2.0 * size if path.startswith("mcp-") else None,
            "valid": True,
            "syscalls": 4.0,
            "switches": 2.0,
        }
        for (path, size, depth), cost in costs.items()
    ]
    rows += [
        {
            "path": path,
            "bytes": 128,
            "depth": 1,
            "policy": policy,
            "instructions": 1e6,
            "copied": 256.0,
            "valid": True,
            "syscalls": 4.0,
            "switches": 2.0,
        }
        for policy in POLICIES
        for path in ("mcp-ioctl", "mcp-uring")
    ]
    return {"rows": rows, "idle_overhead": {"pipe": MOST_OVERHEAD}, "rest": [{"pipe": 8000.0}], "load": MOST_LOAD}


def test_what_meets_every_aim_passes() -> None:
    assert judge(result()) == []


@pytest.mark.parametrize(
    ("row", "cost", "reasons"),
    [
        ("mcp_ioctl_128_1", 7700.0, ["0.963 x pipe"]),
        ("mcp_ioctl_128_1", 10000.0, ["1.250 x pipe", "0.303 x broker"]),
        ("mcp_uring_128_1", 9700.0, ["1.212 x pipe"]),
        ("mcp_uring_4096_1", 14600.0, ["0.859 x unix"]),
        ("mcp_uring_128_32", 3001.0, ["3,001 instructions"]),
    ],
)
def test_an_aim_that_is_missed_is_reported(row: str, cost: float, reasons: list[str]) -> None:
    said = judge(result(**{row: cost}))
    assert len(said) == len(reasons)
    assert all(wanted in reason for wanted, reason in zip(reasons, said, strict=True))


def test_a_module_that_is_dear_to_load_is_reported() -> None:
    assert judge(result() | {"load": MOST_LOAD + 1}) == ["loading mcp.ko: 2,000,001 instructions, at most 2,000,000"]


@pytest.mark.parametrize("copied", [256.5, 512.0, None])
def test_a_body_that_is_copied_twice_or_not_counted_is_reported(copied: float | None) -> None:
    more = result()
    row = next(row for row in more["rows"] if row["path"] == "mcp-ioctl")
    row["copied"] = copied
    assert judge(more) == [f"mcp-ioctl 128 B: {copied} bytes copied, not 256"]


@pytest.mark.parametrize("index", range(len(result()["rows"])))
def test_a_row_that_is_missing_failed_or_invalid_is_reported(index: int) -> None:
    missing, failed, invalid = result(), result(), result()
    del missing["rows"][index]
    failed["rows"][index] |= {"instructions": None, "valid": False}
    invalid["rows"][index]["valid"] = False
    assert any("not measured" in reason for reason in judge(missing))
    assert any("invalid" in reason for reason in judge(failed))
    assert judge(invalid)


def test_a_row_whose_policy_costs_nothing_is_reported() -> None:
    free = result()
    without = next(row for row in free["rows"] if row["path"] == "mcp-ioctl")
    free["rows"][-2]["instructions"] = without["instructions"]
    assert [reason for reason in judge(free) if "was not asked" in reason] == judge(free) != []


def test_the_cost_to_the_rest_is_limited_and_has_to_be_there() -> None:
    dear, none = result(), result()
    dear["idle_overhead"] = {"fork": 0.0051, "exec": 0.0071}
    none["idle_overhead"] = {}
    assert len(judge(dear)) == len(judge(none)) == 1


def test_overhead_is_of_the_module_and_not_of_a_drift() -> None:
    def rounds(*costs: float) -> list[dict[str, float]]:
        return [{"fork": cost} for cost in costs]

    assert overhead(rounds(100, 103, 100, 103, 100, 103, 100)) == {"fork": pytest.approx(0.03)}
    # A drift of 0.1 % a round shows as what stays behind from one round without to the next.
    drift = overhead(rounds(1000, 1001, 1002, 1003, 1004, 1005, 1006))
    assert drift == {"fork": pytest.approx(0.002, rel=0.01)}
    # What one round shows and the others do not is the machine's.
    assert overhead(rounds(100, 110, 100, 100, 100, 100, 100)) == {"fork": 0.0}
    # What goes up when the module is loaded and does not come down is its fault too.
    assert overhead(rounds(100, 105, 105, 110, 110, 115, 115))["fork"] == pytest.approx(0.047, abs=0.002)
    # Cheaper is not a credit.
    assert overhead(rounds(100, 90, 100)) == {"fork": 0.0}
    for wrong in (rounds(100), rounds(100, 100), rounds(100, 100, 100, 100)):
        with pytest.raises(ValueError, match="without the module"):
            overhead(wrong)


def printed(more: dict[str, Any], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_result(more, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, BARS_FROM, 120])
def test_no_figure_is_cut_where_it_is_printed(width: int) -> None:
    """And bars are where there is room for them."""
    more = result(mcp_rw_1048576_1=1_772_643.0)
    said = printed(more, width)
    assert "1,772,643" in said
    assert "…" not in said
    assert ("█" in said) == (width >= BARS_FROM)
    assert "missed" not in said


def test_a_missed_aim_is_marked_where_it_is_printed_and_in_the_picture() -> None:
    more = result(mcp_uring_128_32=3565.0)
    [line] = [line for line in printed(more, 80).splitlines() if "missed" in line]
    assert line.split() == ["mcp-uring", "128", "B", "x32", "3,565", "3,000", "instructions", "missed"]
    picture = as_svg("./build.py bench virt-test", lambda console: print_result(more, console))
    assert "missed" in "".join(ElementTree.fromstring(picture).itertext())
    assert "font-face" not in picture


def test_a_row_that_failed_is_printed_as_that() -> None:
    failed = result()
    failed["rows"][0] |= {"instructions": None, "valid": False}
    assert "failed" in printed(failed, 80)
