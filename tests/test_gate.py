# SPDX-License-Identifier: MIT
"""Every rule of the boot gate, each with the fault that must trip it (QEMU is not needed: the facts are made up)."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

import boards
from protopi.boot import budget, judge, model, qemu, report
from protopi.boot.budget import Budget
from protopi.boot.figures import figures
from protopi.boot.gate import GateResult, judge_all, judge_boot
from protopi.boot.qemu import Counts
from protopi.boot.record import Record
from protopi.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
PI4, VIRT = boards.load("pi4"), boards.load("virt")
COST = model.load(PROJECT / "boards" / "pi4" / "cost.yaml")
KMSG = b"6,0,0,-;Booting Linux\n SUBSYSTEM=x\n6,1,100,-;second\n4,2,200,-;a warning level line\n"
SERVICES = b"sshd up up 77 - 0 ok\nonce down down 0 0 1 ok\n"
SIZES = {"kernel": 14 << 20, "dtb": 40000, "boot_partition": 17 << 20, "rootfs": 8 << 20, "image": 256 << 20}
LIMITS = {
    "reset_to_ready_ns": 150_000_000,
    "modelled_seconds": 2.0,
    "first_boot_ns": 165_000_000,
    "second_boot_ns": 165_000_000,
    "console_bytes": 0,
    "slot_bytes": 28 << 20,
    "image_bytes": 256 << 20,
}
BASELINE = {"reset_to_ready_ns": 100_000_000, "instructions": 90_000_000}
OK = Record(
    marker={"v": 1, "cntfrq": 62_500_000, "cntvct": {"init": 5_000_000, "ready": 6_250_000}, "root_sectors": 2000},
    fault="",
    console_bytes=0,
    counts=Counts({"init": 72_000_000, "ready": 90_000_000}, {"init": 1500, "ready": 2010}, {"init": 50, "ready": 70}),
    kmsg=KMSG,
    services=SERVICES,
    tail=("the last line",),
)


def with_marker(**changes: Any) -> Record:
    assert OK.marker is not None
    return replace(OK, marker={**OK.marker, **changes})


def judged(records: list[Record] | None = None, **changes: Any) -> GateResult:
    given: dict[str, Any] = {
        "image": "pi4",
        "board": PI4,
        "records": [OK, OK, OK] if records is None else records,
        "first": OK,
        "second": OK,
        "sizes": SIZES,
        "budget": Budget(LIMITS, BASELINE, "pi4"),
        "allowed": frozenset(),
        "cost": COST,
    }
    return judge_all(**{**given, **changes})


def test_a_good_image_passes_with_its_numbers() -> None:
    result = judged()
    assert result.reasons == ()
    document = json.loads(report.to_json(result))
    assert document["verdict"] == "pass"
    assert document["boots"][0] == {
        "virtual_ns": {"reset_to_init": 80_000_000, "init_to_ready": 20_000_000, "reset_to_ready": 100_000_000},
        "instructions": {"reset_to_init": 72_000_000, "init_to_ready": 18_000_000, "reset_to_ready": 90_000_000},
        "idle_ns": {"reset_to_init": 8_000_000, "init_to_ready": 2_000_000, "reset_to_ready": 10_000_000},
        "sd_bytes_read": 2010 * 512,
        "sd_commands": 70,
        "console_bytes": 0,
    }
    assert document["modelled"]["seconds"] == pytest.approx(0.09 + 0.01 + 0.11 + 2010 * 512 / 10e6)
    wanted = {"image", "target", "verdict", "boots", "modelled", "sizes", "limits", "baseline"}
    assert wanted <= document.keys()


def shifted(ticks: int) -> Record:
    assert OK.marker is not None
    cntvct = {"init": 5_000_000, "ready": 6_250_000 + ticks}
    return replace(with_marker(cntvct=cntvct))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (replace(OK, marker=None, fault="no @boot marker within 120 s"), "no @boot marker within 120 s"),
        (replace(OK, marker=None, fault=""), "no @boot marker"),
        (replace(OK, marker=None, fault="the @boot marker came with a bad CRC"), "bad CRC"),
        (replace(OK, kmsg=None), "no kernel log"),
        (replace(OK, kmsg=b""), "kernel log is empty"),
        (replace(OK, kmsg=b"6,5,0,-;late\n"), "lost records before number 5"),
        (replace(OK, kmsg=b"6,0,0,-;a\n6,2,0,-;c\n"), "lost records before number 2"),
        (replace(OK, kmsg=b"nonsense\n"), "not a kernel log record"),
        (replace(OK, kmsg=KMSG + b"3,3,300,-;mmc0: error -110\n"), "mmc0: error -110"),
        (replace(OK, kmsg=KMSG + b"6,3,300,-;WARNING: CPU: 0 PID: 1 at x.c:1\n"), "WARNING: CPU"),
        (replace(OK, kmsg=KMSG + b"6,3,300,-;Kernel panic - not syncing: x\n"), "Kernel panic"),
        (replace(OK, kmsg=KMSG + b"1,3,300,-;Internal error: Oops: 96000004\n"), "Oops"),
        (replace(OK, kmsg=KMSG + b"4,3,300,-;BUG: sleeping function called\n"), "BUG: sleeping"),
        (replace(OK, services=None), "no state of the services"),
        (replace(OK, services=b""), "reports none"),
        (replace(OK, services=b"sshd up down 0 1 0 ok\n"), "service sshd is down"),
        (replace(OK, services=b"sshd up up 9 1 2 ok\n"), "sshd ended 2 times"),
        (replace(OK, services=b"sshd down down 0 sig6 9 failed\n"), "sshd failed (exit code sig6"),
        (replace(OK, services=b"sshd - - 0 - 0 failed\n"), "sshd failed"),
        (replace(OK, services=b"once down down 0 3 1 ok\n"), "exit code 3"),
        (replace(OK, services=b"sshd up\n"), "not a service line"),
        (replace(OK, unanswered=("kmsg: silence",)), "no answer: kmsg"),
        (with_marker(cntvct={"init": 0, "ready": 9}), "impossible"),
        (with_marker(cntvct={"init": 9, "ready": 8}), "impossible"),
        (with_marker(cntfrq=None), "lacks a number"),
        (replace(OK, counts=Counts({"init": 1, "ready": 100_020_000})), "only 100000000 virtual ns went by"),
        (with_marker(root_sectors=4000), "one of them is wrong"),
        (replace(OK, console_bytes=284), "console_bytes is 284"),
    ],
)
def test_each_fault_fails_by_its_own_reason(record: Record, reason: str) -> None:
    result = judged([OK, record, OK])
    assert result.verdict == "fail"
    assert any(reason in found for found in result.reasons), result.reasons
    text = report.to_junit(result)
    assert ElementTree.fromstring(text).get("failures") == "1"


def test_one_tick_of_difference_fails_on_the_exact_machine() -> None:
    result = judged([OK, shifted(1), OK])
    assert any("equal boots differ in virtual_ns reset_to_ready" in reason for reason in result.reasons)
    counts = replace(OK.counts, instructions={"init": 72_000_000, "ready": 90_000_001})
    result = judged([OK, replace(OK, counts=counts)])
    assert any("differ in instructions" in reason for reason in result.reasons)


def on_virt(*records: Record) -> GateResult:
    limits = {key: value for key, value in LIMITS.items() if key != "modelled_seconds"}
    return judged(list(records), board=VIRT, cost=None, budget=Budget(limits, {}, "virt"))


def counted(instructions: int, ticks: int = 0) -> Record:
    counts = replace(OK.counts, instructions={"init": 72_000_000, "ready": instructions})
    return replace(shifted(ticks), counts=counts)


def test_on_virt_waits_may_differ_and_instructions_a_little() -> None:
    near = on_virt(counted(90_000_000), counted(90_800_000, 600_000), counted(90_400_000, 300_000))
    assert near.passed, near.reasons
    assert near.spread["reset_to_ready"] == (100_000_000, 104_800_000, 109_600_000)
    assert near.baseline()["instructions"] == 90_400_000
    far = on_virt(counted(90_000_000), counted(91_000_000, 300_000), counted(90_400_000, 300_000))
    assert any("more than 1% apart in instructions: 90000000 to 91000000" in reason for reason in far.reasons)


def test_on_virt_instructions_alone_are_held_to_the_baseline() -> None:
    limits = {key: value for key, value in LIMITS.items() if key != "modelled_seconds"}
    records = [counted(90_900_000), counted(90_950_000), counted(91_800_000)]
    for base, passes in ((90_060_000, True), (90_040_000, False)):
        budget_ = Budget(limits, {"reset_to_ready_ns": 1, "instructions": base}, "virt")
        assert judged(records, board=VIRT, cost=None, budget=budget_).passed == passes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"records": []}, "nothing was booted"),
        ({"budget": Budget({**LIMITS, "reset_to_ready_ns": 99_999_999}, {}, "pi4")}, "reset_to_ready_ns is"),
        ({"budget": Budget(LIMITS, {"reset_to_ready_ns": 98_999_999}, "pi4")}, "above its baseline"),
        ({"budget": Budget(LIMITS, {"instructions": 89_000_000}, "pi4")}, "instructions 90,000,000 is 1.12% above"),
        ({"budget": Budget({**LIMITS, "modelled_seconds": 0.3}, {}, "pi4")}, "modelled_seconds is"),
        ({"first": None}, "first_boot_ns: there is a limit, but no value"),
        ({"second": replace(OK, marker=None, fault="no @boot marker")}, "second boot: no @boot marker"),
        ({"first": shifted(5_000_000)}, "first_boot_ns is"),
        ({"first": replace(OK, services=b"grow up down 0 1 0 ok\n")}, "first boot on a larger card: service grow"),
        ({"sizes": {**SIZES, "rootfs": 12 << 20}}, "slot_bytes is"),
        ({"sizes": {**SIZES, "image": 512 << 20}}, "image_bytes is"),
        ({"sizes": {}}, "slot_bytes: there is a limit, but no value"),
        ({"cost": None}, "modelled_seconds: there is a limit, but no value"),
        ({"records": [OK, replace(OK, counts=Counts())]}, "marked some boots and not others"),
    ],
)
def test_each_limit_fails_when_it_is_exceeded_or_has_no_data(changes: dict[str, Any], reason: str) -> None:
    result = judged(**changes)
    assert any(reason in found for found in result.reasons), result.reasons


def test_one_percent_over_the_baseline_passes_and_more_fails() -> None:
    assert judged(budget=Budget(LIMITS, {"reset_to_ready_ns": 99_009_901}, "pi4")).passed
    assert not judged(budget=Budget(LIMITS, {"reset_to_ready_ns": 99_009_899}, "pi4")).passed


def test_without_a_plugin_the_virtual_time_stands_alone_and_says_so() -> None:
    bare = replace(OK, counts=Counts())
    result = judged([bare] * 3, first=bare, second=bare, budget=Budget(LIMITS, {}, "pi4"))
    assert result.passed, result.reasons
    assert any("not counted" in note for note in result.notes)
    assert result.to_json()["boots"][0]["instructions"] is None


def test_no_baseline_is_said() -> None:
    assert any("no baseline" in note for note in judged(budget=Budget(LIMITS, {}, "pi4")).notes)


def test_virtual_time_is_instructions_and_waits() -> None:
    made = figures(OK, PI4)
    assert made.instructions is not None
    assert made.idle_ns is not None
    for phase, whole in made.virtual_ns.items():
        assert whole == made.instructions[phase] + made.idle_ns[phase]


def test_instructions_that_were_begun_twice_make_no_negative_waits() -> None:
    counts = Counts({"init": 80_000_100, "ready": 100_000_050})
    made = figures(replace(OK, counts=counts), PI4)
    assert made.instructions == made.virtual_ns
    assert made.idle_ns is not None
    assert set(made.idle_ns.values()) == {0}
    late = figures(replace(OK, counts=Counts({"init": 70_000_000, "ready": 90_000_020})), PI4)
    assert late.idle_ns == {"reset_to_init": 9_999_980, "init_to_ready": 0, "reset_to_ready": 9_999_980}


def test_the_allow_list_is_exact_and_gives_reasons(tmp_path: Path) -> None:
    line = "mmc0: error -110"
    record = replace(OK, kmsg=KMSG + f"3,3,300,-;{line}\n".encode())
    assert judge_boot(record, PI4, frozenset({line})) == []
    assert judge_boot(record, PI4, frozenset({line[:-1]}))
    warned = replace(OK, kmsg=KMSG + b"6,3,300,-;WARNING: x\n")
    assert judge_boot(warned, PI4, frozenset({"WARNING: x"}))
    path = tmp_path / "allow.txt"
    path.write_text(f"# SPDX-License-Identifier: MIT\n\n# QEMU has no such thing\n{line}\nanother\n")
    assert judge.load_allowed(path) == {line, "another"}
    path.write_text(f"# SPDX-License-Identifier: MIT\n{line}\n")
    with pytest.raises(UserError, match=r"allow\.txt:2"):
        judge.load_allowed(path)


@pytest.mark.parametrize("board", [PI4, VIRT])
def test_the_shipped_allow_lists_are_well_formed(board: boards.Board) -> None:
    judge.load_allowed(board.allow)


def test_the_qemu_log_is_split_at_the_marks() -> None:
    log = "".join(
        [
            "sdcard_normal_command SD CMD18\nsdcard_read_block addr 0x0 size 0x200\n" * 3,
            "protopi-count: init 100\n",
            "sdcard_read_block addr 0x200 size 0x200\nsdcard_app_command x\n",
            "protopi-count: ready 150\nsdcard_read_block late\nprotopi-count: ready 900\nprotopi-count: exit 999\n",
        ]
    )
    counts = qemu.parse_log(log)
    assert counts.instructions == {"init": 100, "ready": 150, "exit": 999}
    assert (counts.blocks["init"], counts.blocks["ready"]) == (3, 4)
    assert (counts.commands["init"], counts.commands["ready"]) == (3, 4)


def test_a_copy_is_the_next_power_of_two(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    with image.open("wb") as raw:
        raw.write(b"begin")
        raw.seek(5 << 20)
        raw.write(b"middle")
        raw.truncate(8 << 20)
    copy = qemu.enlarge(image, tmp_path / "copy.img")
    content = copy.read_bytes()
    assert len(content) == 16 << 20
    assert content[: 8 << 20] == image.read_bytes()
    assert not any(content[8 << 20 :])
    assert copy.stat().st_blocks * 512 < 1 << 20


def test_the_shipped_budgets_hold_the_issues_limits(tmp_path: Path) -> None:
    path = PROJECT / "boot-tests" / "budgets.yaml"
    limits = budget.load(path, "pi4", "pi4").limits
    assert limits["reset_to_ready_ns"] <= 150_000_000
    assert limits["modelled_seconds"] <= 0.6
    assert limits["slot_bytes"] <= 28 << 20
    assert budget.load(path, "somebodys", "virt").entry == "default-virt"
    with pytest.raises(UserError, match="default-pi5"):
        budget.load(path, "somebodys", "pi5")
    copy = tmp_path / "budgets.yaml"
    copy.write_text(path.read_text())
    values = {key: number for number, key in enumerate(budget.BASELINE, 1)}
    for image in ("pi4", "somebodys"):
        budget.update(copy, image, "pi4", values)
        budget.update(copy, image, "pi4", {**values, "instructions": 77})
        assert budget.load(copy, image, "pi4").baseline == {**values, "instructions": 77}
    assert copy.read_text().count("# ") >= path.read_text().count("# ")
    assert budget.load(copy, "x", "pi4").baseline == {}


@pytest.mark.parametrize("text", ["pi4: 3\n", "pi4: {limits: {what: 1}}\n", "pi4: {limits: {slot_bytes: -1}}\n", "{"])
def test_a_malformed_budget_is_the_users_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / "budgets.yaml").write_text(text)
    with pytest.raises(UserError):
        budget.load(tmp_path / "budgets.yaml", "pi4", "pi4")


@pytest.mark.parametrize("result", [judged(), judged([OK, shifted(1)]), judged([]), on_virt(OK, shifted(30_000))])
def test_the_table_names_firmware_time_and_claims_no_measurement(result: GateResult) -> None:
    out = io.StringIO()
    report.print_table(result, Console(file=out, width=150))
    text = out.getvalue()
    assert "3 to 5 s" in text
    assert "Nothing here was measured on a Pi 4" in text
    assert ("PASS" in text) == result.passed
    for reason in result.reasons:
        assert reason[:40] in text
