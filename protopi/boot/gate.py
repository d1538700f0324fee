# SPDX-License-Identifier: MIT
"""The boot gate: N boots, a first boot on a larger card and its second, against limits and baseline.

`judge` is pure: facts in, verdict out. `gate` collects the facts. No data is a failure, never a pass.
Three numbers are never mixed: virtual time (exact, gated), modelled seconds (a model), measured seconds (a board's;
none here).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protopi.boot import budget as budgets
from protopi.boot import initcalls, judge, model, record
from protopi.boot.budget import Budget
from protopi.boot.figures import PHASES, Figures, figures
from protopi.boot.qemu import Options, stop_all
from protopi.boot.sizes import sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from protopi.boot.board import Board
    from protopi.boot.record import Record
    from protopi.boot.tools import Tools

#: Facts that the counts of equal boots must agree in.
_SAME = ("virtual_ns", "instructions", "idle_ns")


@dataclass(frozen=True, slots=True)
class GateResult:
    """A verdict with everything that led to it; protopi.boot.report turns it into JSON, JUnit and a table.

    `carried_us`: initcall -> virtual us of built-in drivers that another machine needs and this board does not; None
    where that was not asked.
    """

    image: str
    target: str
    reasons: tuple[str, ...]
    boots: tuple[Figures, ...]
    first_boot: Figures | None
    second_boot: Figures | None
    modelled: model.Modelled | None
    sizes: Mapping[str, int]
    budget: Budget
    notes: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    seconds: float = 0.0
    spread: Mapping[str, tuple[int, float, int]] = field(default_factory=dict)
    carried_us: Mapping[str, int] | None = None

    @property
    def passed(self) -> bool:
        """Whether the image passed."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """ "pass" or "fail"."""
        return "pass" if self.passed else "fail"

    def baseline(self) -> dict[str, int]:
        """The values that `--update-budget` stores: the median of each over the boots."""
        rows = [_comparable(boot) for boot in self.boots]
        common = [key for key in rows[0] if all(key in row for row in rows)] if rows else []
        return {key: statistics.median_low(row[key] for row in rows) for key in common}

    def to_json(self) -> dict[str, Any]:
        """The gate's JSON document: what `gate --json` writes."""
        return {
            "image": self.image,
            "target": self.target,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "boots": [boot.to_json() for boot in self.boots],
            "first_boot": self.first_boot.to_json() if self.first_boot else None,
            "second_boot": self.second_boot.to_json() if self.second_boot else None,
            "modelled": self.modelled.to_json() if self.modelled else None,
            "sizes": dict(self.sizes),
            "limits": dict(self.budget.limits),
            "baseline": dict(self.budget.baseline) or None,
            "carried_us": dict(self.carried_us) if self.carried_us is not None else None,
            "notes": list(self.notes),
        }


def judge_boot(facts: Record, board: Board, allowed: Collection[str]) -> list[str]:
    """Reasons against one boot by itself."""
    if facts.marker is None:
        return [facts.fault or "no @boot marker"]
    reasons: list[str] = []
    if facts.kmsg is None:
        reasons.append("no kernel log could be had")
    else:
        try:
            reasons += judge.kernel_log(judge.parse_kmsg(facts.kmsg), allowed)
        except ValueError as error:
            reasons.append(f"kernel log: {error}")
    if facts.services is None:
        reasons.append("no state of the services could be had")
    else:
        try:
            reasons += judge.service_faults(judge.parse_services(facts.services))
        except ValueError as error:
            reasons.append(f"services: {error}")
    reasons += [f"no answer: {lost}" for lost in facts.unanswered]
    guest = int(facts.marker.get("root_sectors", 0)) * 512
    traced = facts.counts.blocks.get("ready", 0) * 512 if board.sd_trace else guest
    if board.sd_trace and "ready" in facts.counts.blocks and not guest <= traced <= guest + SD_SLACK:
        reasons.append(f"the card's trace says {traced} bytes were read, the guest {guest}: one of them is wrong")
    return reasons


#: What a card's driver reads besides block requests: registers (SCR, SSR, switch status) in data blocks.
SD_SLACK = 64 * 512


def _comparable(boot: Figures) -> dict[str, int]:
    values = {f"{name}_ns": boot.virtual_ns[name] for name in PHASES}
    if boot.instructions:
        values["instructions"] = boot.instructions["reset_to_ready"]
    values["sd_bytes_read"] = boot.sd_bytes_read
    return values


def _agree(boots: Sequence[Figures], board: Board) -> list[str]:
    """Equal boots count the same: to the digit, or in instructions within the board's tolerance."""
    reasons: list[str] = []
    for what in _SAME if board.exact else ("instructions",):
        rows = [getattr(boot, what) for boot in boots]
        if any(row is None for row in rows):
            continue
        for phase in PHASES:
            values = [row[phase] for row in rows]
            low, middle, high = min(values), statistics.median(values), max(values)
            if board.exact and low != high:
                reasons.append(f"{len(boots)} equal boots differ in {what} {phase}: {', '.join(map(str, values))}")
            elif phase == "reset_to_ready" and high - low > board.tolerance * middle:
                limit = f"{board.tolerance:.0%}"
                reasons.append(f"{len(boots)} equal boots lie more than {limit} apart in {what}: {low} to {high}")
    return reasons


def spread(boots: Sequence[Figures]) -> dict[str, tuple[int, float, int]]:
    """Minimum, median and maximum of the virtual time of each phase, and of the instructions until ready."""
    rows = {phase: [boot.virtual_ns[phase] for boot in boots] for phase in PHASES} if boots else {}
    counted = [boot.instructions["reset_to_ready"] for boot in boots if boot.instructions]
    rows |= {"instructions": counted} if counted else {}
    return {phase: (min(v), statistics.median(v), max(v)) for phase, v in rows.items()}


def _compare(boots: Sequence[Figures], board: Board, budget: Budget) -> list[str]:
    reasons = []
    # Where boots are not exact, virtual time has the host's waits in it: instructions alone are the image's.
    for key in budgets.GATED if board.exact else ("instructions",):
        base = budget.baseline.get(key)
        values = [value for boot in boots if (value := _comparable(boot).get(key)) is not None]
        if not base or not values:
            continue
        now = statistics.median_low(values)
        if now > base * (1 + budgets.MARGIN):
            reasons.append(f"{key} {now:,.0f} is {now / base - 1:.2%} above its baseline {base:,} (1 % is allowed)")
    return reasons


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3f}"


def _limits(values: Mapping[str, float | None], budget: Budget, *, known: bool) -> list[str]:
    """Limits that are exceeded, or that have no value (`known`: a reason why is there already)."""
    reasons = []
    for key, limit in budget.limits.items():
        value = values.get(key)
        if value is None:
            reasons += [] if known else [f"{key}: there is a limit, but no value (no data is no pass)"]
        elif value > limit:
            reasons.append(f"{key} is {_amount(value)}, above its limit {_amount(limit)} {budgets.LIMITS[key]}")
    return reasons


def judge_all(
    *,
    image: str,
    board: Board,
    records: Sequence[Record],
    first: Record | None,
    second: Record | None,
    sizes: Mapping[str, int],
    budget: Budget,
    allowed: Collection[str],
    cost: model.Cost | None,
    seconds: float = 0.0,
) -> GateResult:
    """The verdict over all boots. Pure."""
    reasons: list[str] = []
    notes: list[str] = []
    tail: tuple[str, ...] = ()
    named = [(f"boot {n}", r) for n, r in enumerate(records, 1)]
    named += [(name, r) for name, r in (("first boot on a larger card", first), ("second boot", second)) if r]
    done: dict[str, Figures] = {}
    faults: dict[str, list[str]] = {}
    if not records:
        reasons.append("nothing was booted")
    for name, facts in named:
        found = judge_boot(facts, board, allowed)
        if facts.marker is not None:
            try:
                done[name] = figures(facts, board)
            except ValueError as error:
                found.append(str(error))
        for reason in found:
            faults.setdefault(reason, []).append(name)
        tail = facts.tail if found and not tail else tail
    for reason, names in faults.items():
        reasons.append(f"{'every boot' if len(names) == len(named) > 1 else ', '.join(names)}: {reason}")
    boots = tuple(done[name] for name, _ in named[: len(records)] if name in done)
    if boots and all(boot.instructions is None for boot in boots):
        notes.append("executed instructions were not counted (no plug-in): virtual_ns stands alone")
    elif any(boot.instructions is None for boot in boots):
        reasons.append("the instruction counter marked some boots and not others")
    if boots and len(boots) == len(records):
        reasons += _agree(boots, board)
    reasons += _compare(boots, board, budget)
    if not budget.baseline:
        notes.append(f"no baseline for {budget.entry}: the 1 % rule was not checked (--update-budget stores one)")
    modelled = _modelled(boots, cost)
    worst = max((boot.virtual_ns["reset_to_ready"] for boot in boots), default=None)
    firsts = [done.get(name) for name in ("first boot on a larger card", "second boot")]
    reasons += _limits(
        {
            "reset_to_ready_ns": worst,
            "modelled_seconds": modelled.seconds if modelled else None,
            "first_boot_ns": firsts[0].virtual_ns["reset_to_ready"] if firsts[0] else None,
            "second_boot_ns": firsts[1].virtual_ns["reset_to_ready"] if firsts[1] else None,
            "console_bytes": max((boot.console_bytes for boot in done.values()), default=None),
            "slot_bytes": sizes["boot_partition"] + sizes["rootfs"] if sizes else None,
            "image_bytes": sizes.get("image"),
        },
        budget,
        known=any(facts.marker is None for _, facts in named),
    )
    return GateResult(
        image=image,
        target=f"qemu {board.name}",
        reasons=tuple(reasons),
        boots=boots,
        first_boot=firsts[0],
        second_boot=firsts[1],
        modelled=modelled,
        sizes=sizes,
        budget=budget,
        notes=tuple(notes),
        tail=tail,
        seconds=seconds,
        spread=spread(boots),
    )


def _modelled(boots: Sequence[Figures], cost: model.Cost | None) -> model.Modelled | None:
    if cost is None or not boots:
        return None
    worst = max(boots, key=lambda boot: boot.virtual_ns["reset_to_ready"])
    return model.predict(
        cost,
        virtual_ns=worst.virtual_ns["reset_to_ready"],
        instructions=worst.instructions["reset_to_ready"] if worst.instructions else None,
        sd_bytes=worst.sd_bytes_read,
        console_bytes=worst.console_bytes,
    )


@contextlib.contextmanager
def _machines() -> Iterator[concurrent.futures.Executor]:
    """Threads that each follow a machine; when the block is left, machines that still run are ended."""
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)), "machine")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_all()
        pool.shutdown()


def gate(
    image: Path,
    board: Board,
    tools: Tools,
    plugin: Path | None,
    *,
    name: str = "",
    boots: int = 3,
    enlarged: bool = True,
    budget_file: Path,
    append: tuple[str, ...] = (),
    seconds: float = record.BOOT_SECONDS,
    progress: Callable[[str], None] = lambda _: None,
) -> GateResult:
    """Boot `image` as often as asked, and a copy on a larger card twice, and judge. As many at once as there are CPUs.

    `name` is the image's (default: the file's), for the budget. `append` adds kernel parameters
    (negative controls), `seconds` is how long a boot may take on the host.
    Raises FirmwareRefusal, UserError (budget file), InfraError (QEMU cannot run).
    """
    name = name or image.stem
    budget = budgets.load(budget_file, name, board.name)
    allowed = judge.load_allowed(board.allow)
    cost = model.load(board.cost) if board.cost else None
    sizes = sizes_of(image, board)
    options = Options(plugin=plugin, append=append)
    records = []
    first = second = carried = None
    with _machines() as machines:
        equal = [machines.submit(record.boot_once, image, board, tools, options, seconds=seconds) for _ in range(boots)]
        pair = machines.submit(record.boot_enlarged, image, board, tools, plugin) if enlarged else None
        built_in = bool(board.carried) and plugin is not None
        cost_of = machines.submit(initcalls.carried, image, board, tools) if built_in else None
        for number, boot in enumerate(equal, 1):
            progress(f"boot {number} of {boots}")
            records.append(boot.result())
            if records[-1].marker is None:
                break  # the others would end the same way, minutes later
        else:
            if pair is not None:
                progress("first and second boot on a larger card")
                first, second = pair.result()
            if cost_of is not None:
                progress("what the drivers for other machines cost")
                carried = cost_of.result()
    if not enlarged:
        limits = {key: v for key, v in budget.limits.items() if key not in ("first_boot_ns", "second_boot_ns")}
        budget = Budget(limits, budget.baseline, budget.entry)
    result = judge_all(
        image=name,
        board=board,
        records=records,
        first=first,
        second=second,
        sizes=sizes,
        budget=budget,
        allowed=allowed,
        cost=cost,
        seconds=sum(r.seconds for r in records),
    )
    return dataclasses.replace(result, carried_us=carried)
