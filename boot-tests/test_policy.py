# SPDX-License-Identifier: MIT
"""Policies in eBPF: mcp_bpf.ko and mcp-policy in the booted image (docs/policy.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from module_bench import outputs_of
from test_module import LOUD, OF_THE_CORE, REPORTS, SELFTESTS, SETTLED, run_selftest

from protopi.api import Session
from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project
from protopi.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
PROJECT = Project.here()
IMAGE = "virt-test"
#: The programs, and the fewest checks that each makes. policy_test is the last: it leaves REQUIRE set.
PROGRAMS = {"shipped_test": 220, "policy_test": 240}
MODULE = "/usr/lib/protopi/mcp.ko"
#: What the kernel says loudly of us; a busy host's drivers have something to say late.
OURS = f"{LOUD} | grep -iE 'mcp|bpf|{REPORTS}'"
#: Without a daemon the records of the audit are in the kernel's log, where there is a limit for all of them.
EVERY_RECORD = "echo 0 > /proc/sys/kernel/printk_ratelimit"
LOADED = "grep -c '^mcp_bpf ' /proc/modules"
AGAIN = f"rmmod mcp_bpf; rmmod mcp && insmod {MODULE}; echo status $?"


def test_every_program_is_run_here() -> None:
    sources = (PROJECT.root / "mcp/policies/selftests").glob("*_test.c")
    assert {path.stem for path in sources} == set(PROGRAMS)


def test_a_policy_is_loaded_on_demand_and_its_tests_pass(built: Built) -> None:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        ask(child, SETTLED, 60)
        before = ask(child, OURS)
        assert ask(child, LOADED) == "0"
        assert ask(child, "mcp-policy show; echo status $?") == "none pinned\nstatus 3"
        for words in ("allow_list x", "read_only x", "token_bucket rate=0 burst=1"):
            assert ask(child, f"mcp-policy attach {words} 2> /tmp/said; echo status $?") == "status 2"
        assert ask(child, f"{LOADED}; grep -c ' bpf ' /proc/mounts") == "0\n0", "a wrong word changes nothing"
        assert ask(child, "mcp-policy attach read_only", 60) == "read_only is attached"
        assert ask(child, LOADED) == "1"
        assert "pinned at /sys/fs/bpf/mcp/policy" in ask(child, "mcp-policy show")
        refused = ask(child, "rmmod mcp_bpf; echo status $?")
        assert "status 0" not in refused, "it is in use"
        assert ask(child, "mcp-policy detach; echo status $?") == "status 0"
        for name in PROGRAMS:
            run_selftest(child, name, 300, PROGRAMS[name])
        # REQUIRE is set, and ends with the module.
        skipped = ask(child, f"{SELFTESTS}/policy_test; echo status $?")
        assert "SKIP" in skipped, skipped
        assert ask(child, f"sleep 1; {AGAIN}", 60) == "status 0", "nothing of the tests holds it"
        assert ask(child, OURS).removeprefix(before) == ""


def test_each_change_is_a_record_of_the_audit(built: Built) -> None:
    image = built(IMAGE)
    with shell(image.path, image.board, image.tools, Options(realtime=True, append=("audit=1",))) as child:
        assert ask(child, f"{EVERY_RECORD}; echo status $?") == "status 0"
        changes = "attach read_only", "attach token_bucket rate=1 burst=1", "detach"
        said = ask(child, "; ".join(f"mcp-policy {words} > /tmp/said || echo failed" for words in changes), 60)
        assert said == ""
        records = [line.split() for line in ask(child, "sleep 1; dmesg | grep -o 'mcp op=.*policy=.*'").splitlines()]
        assert [record[1:3] for record in records] == [
            ["op=attach", "policy=read_only"],
            ["op=replace", "policy=token_bucket"],
            ["op=detach", "policy=token_bucket"],
        ]
        assert all({"uid=0", "res=1"} <= set(record) for record in records), records


def test_a_product_image_carries_none_unless_it_asks(built: Built) -> None:
    """`policies:` is false by default: one slot has 28 MiB."""
    built("pi4")
    session = Session(PROJECT, Ui())
    listing = (outputs_of(session, session.plan("pi4"), "rootfs")["rootfs"] / "rootfs.json").read_text()
    assert "/usr/sbin/mcp-policy" not in listing
    assert "/extra/mcp_bpf.ko" not in listing
    assert "policy_test" not in listing


@pytest.mark.full
@pytest.mark.timeout(5400)
def test_its_tests_pass_under_every_checker(built: Built) -> None:
    image = built("virt-debug")
    with shell(image.path, image.board, image.tools, Options(realtime=True), 900) as child:
        for name in PROGRAMS:
            run_selftest(child, name, 1800, PROGRAMS[name])
        assert ask(child, f"sleep 2; {AGAIN}", 120) == "status 0"
        assert ask(child, f"dmesg | grep -E '{REPORTS}' | grep -v {OF_THE_CORE}", 60) == ""
