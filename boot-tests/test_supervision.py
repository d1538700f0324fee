# SPDX-License-Identifier: MIT
"""PID 1 and the supervisor: who dies is started again, who dies too often reboots the board; logs outlive the boot."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pexpect
import pytest

from protopi.boot.qemu import Options
from protopi.boot.shell import ask, shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import BuiltImage

    Built = Callable[[str], BuiltImage]

pytestmark = pytest.mark.image
KILL = "kill -9 $(pidof s6-svscan)"


def test_a_supervisor_that_dies_is_started_again_with_its_services(built: Built) -> None:
    image = built("virt")
    # The shell is a service too and goes down with the others, so what follows is left to a process of its own.
    steps = [
        "sleep 2; old=$(pidof s6-svscan)",
        "kill -9 $old; sleep 10",
        "new=$(pidof s6-svscan)",
        "up=$(s6-svstat -o up /run/service/report)",
        'echo "@died $old $new $up" > /dev/console',
    ]
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        child.sendline(f"setsid sh -c '{'; '.join(steps)}' > /dev/null 2>&1 &".encode())
        child.expect(rb"@died (\d+) (\d+) (\w+)", timeout=90)
        old, new, up = child.match.groups()
        assert old != new
        assert up == b"true"


def test_a_supervisor_that_dies_three_times_in_a_minute_reboots_the_board(built: Built) -> None:
    image = built("virt")
    with shell(image.path, image.board, image.tools, Options(realtime=True)) as child:
        child.sendline(f"setsid sh -c 'for i in 1 2 3; do sleep 4; {KILL}; done' > /dev/null 2>&1 &".encode())
        child.expect(pexpect.EOF, timeout=90)  # QEMU ends where the board would start again
        child.wait()
        assert child.exitstatus == 0


def test_logs_survive_a_reboot(built: Built, tmp_path: Path) -> None:
    image = built("virt")
    copy = tmp_path / "card.img"
    shutil.copyfile(image.path, copy)
    options = Options(realtime=True, keep=True)
    with shell(copy, image.board, image.tools, options) as child:
        assert ask(child, "cat /run/protopi/data").startswith("mounted")
        ask(child, "logger -t test written-in-boot-one; sleep 2")
        assert "written-in-boot-one" in ask(child, "cat /data/log/syslog/current")
        child.sendline(b"poweroff")
        start = time.monotonic()
        child.expect(pexpect.EOF, timeout=30)
        assert time.monotonic() - start < 15  # five seconds of the board's; QEMU and its host are slower
    with shell(copy, image.board, image.tools, options) as child:
        assert "written-in-boot-one" in ask(child, "cat /data/log/syslog/*")
