# SPDX-License-Identifier: MIT
"""libmcp on a booted machine: its tests on all three paths, its examples as docs/libmcp.md shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from module_bench import outputs_of

from protopi.api import Session
from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell
from protopi.project import Project
from protopi.ui import Ui
from recipes.libmcp import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
FOLDER = "/usr/lib/protopi/libmcp"
PROJECT = Project.here()
MANUAL = Path(__file__).parent.parent / "docs/libmcp.md"
#: The programs that print TAP, and the fewest checks that each makes.
TESTS = {"libmcp_pure_test": 220, "libmcp_test": 666}


def shown_output() -> list[str]:
    """What docs/libmcp.md says that the client prints."""
    block = MANUAL.read_text().split("$ libmcp_client\n", 1)[1].split("```", 1)[0]
    return block.splitlines()


def test_it_passes_on_the_machine_and_does_what_the_manual_shows(built: Built) -> None:
    image = built("virt-test")
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        assert ask(child, f"ls {FOLDER}").split() == sorted(PROGRAMS)
        for name, fewest in TESTS.items():
            said = ask(child, f"{FOLDER}/{name} > /tmp/tap; echo status $?", 120)
            wrong = ask(child, "grep -A2 '^not ok\\|^Bail' /tmp/tap | head -20")
            assert (said, wrong) == ("status 0", ""), f"{name}: {said}\n{wrong}"
            passed = int(ask(child, "grep -c '^ok' /tmp/tap"))
            assert ask(child, "grep '^1[.][.]' /tmp/tap") == f"1..{passed}"
            assert passed >= fewest

        ask(child, f"{FOLDER}/libmcp_server > /tmp/server 2>&1 & sleep 1")
        printed = ask(child, f"{FOLDER}/libmcp_client > /tmp/client; echo status $?; cat /tmp/client")
        # One line has the load of the machine in it.
        lines = [line for line in printed.splitlines() if '"id":2' not in line]
        assert lines == ["status 0", *(line for line in shown_output() if '"id":2' not in line)]
        assert ask(child, "kill $(pidof libmcp_server); sleep 1; rmmod mcp; echo status $?") == "status 0"


def test_a_product_image_has_none_of_it(built: Built) -> None:
    built("pi4")
    session = Session(PROJECT, Ui())
    rootfs = outputs_of(session, session.plan("pi4"), "rootfs")["rootfs"]
    listing = (rootfs / "rootfs.json").read_text()
    assert "/usr/lib/protopi/mcp.ko" in listing
    assert "libmcp" not in listing
