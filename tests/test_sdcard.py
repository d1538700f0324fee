# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import cast

import pytest

from protopi.errors import StepError, UserErrors
from protopi.step import Context
from recipes.devicetree import compile_overlay
from recipes.firmware import check_config, render
from recipes.sdcard import used_extents

PROJECT = Path(__file__).resolve().parent.parent
DUMP = """Block count:              100
Block size:               4096
Group 0: (Blocks 0-63)
  Free blocks: 10-19, 30
Group 1: (Blocks 64-99)
  Free blocks: 70-99
Group 2:
  Free blocks:\x20
"""


def test_every_block_that_is_not_free_is_mapped() -> None:
    used = list(used_extents(DUMP, 100))
    assert used == [(0, 10 * 4096), (20 * 4096, 10 * 4096), (31 * 4096, 39 * 4096)]
    assert list(used_extents(DUMP, 110))[-1] == (100 * 4096, 10 * 4096)
    with pytest.raises(StepError):
        list(used_extents(DUMP.replace("4096", "1024"), 100))


def known(text: str) -> bytes:
    return b"\0" + b"\0".join(line.partition("=")[0].encode() for line in text.splitlines()) + b"\0"


def rendered(**extra: str) -> str:
    values = {"image": "pi4", "start": "start4.elf", "cut_down": False, "extra": extra}
    return render(PROJECT / "image/boot/config.txt.j2", values)


def test_an_unknown_key_is_the_users_mistake_or_ours() -> None:
    start = known(rendered())
    check_config(rendered(), start, "start4.elf", set())
    with pytest.raises(UserErrors, match="knows no key hdmi_made_up"):
        check_config(rendered(hdmi_made_up="1"), start, "start4.elf", {"hdmi_made_up"})
    with pytest.raises(StepError, match="knows no key boot_delay"):
        check_config(rendered(), start.replace(b"\0boot_delay\0", b"\0"), "start4.elf", set())


def test_what_the_image_file_sets_comes_last_and_wins() -> None:
    text = rendered(boot_delay="1", gpio="21=op,dh")
    assert text.index("boot_delay=0") < text.index("boot_delay=1")
    assert text.endswith("[all]\n")


def test_a_template_may_use_nothing_that_nobody_gave(tmp_path: Path) -> None:
    template = tmp_path / "config.txt.j2"
    template.write_text("{{ nobody }}")
    with pytest.raises(StepError, match="nobody"):
        render(template, {})


def test_autoboot_fits_into_the_sector_that_is_read() -> None:
    text = render(PROJECT / "image/boot/autoboot.txt.j2", {"boot_a": 2, "boot_b": 3})
    assert len(text) <= 512
    assert text.splitlines() == ["[all]", "tryboot_a_b=1", "boot_partition=2", "[tryboot]", "boot_partition=3"]


def test_the_command_line_is_one_line_with_its_reasons_left_out() -> None:
    text = render(PROJECT / "image/boot/cmdline.txt.j2", {"root": "PARTUUID=00000001-05", "words": ["a=b"]})
    assert text.startswith("root=PARTUUID=00000001-05 rootfstype=erofs ro rootwait init=/sbin/init ")
    assert text.endswith(" panic=10 a=b\n")
    assert text.count("\n") == 1


class FakeContext:
    """As much of a step's context as device-tree overlays need; dtc is a script that complains."""

    def __init__(self, folder: Path) -> None:
        self.work = folder

    def run(self, argv: list[str | Path]) -> str:
        if subprocess.run([str(word) for word in argv], check=False).returncode:
            raise StepError("dtc ended with status 1")
        return ""


def test_dtcs_own_words_and_the_users_own_file_name_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dtc = tmp_path / "dtc"
    dtc.write_text('#!/bin/sh\nfor last; do :; done\necho "Error: $last:3.1-4 syntax error" >&2\nexit 1\n')
    dtc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    source = tmp_path / "0-my-hat.dtso"
    source.write_text("nonsense")
    with pytest.raises(UserErrors, match=r"my-hat\.dtso does not compile: Error: my-hat\.dtso:3\.1-4 syntax error"):
        compile_overlay(cast(Context, FakeContext(tmp_path)), source, source.name)
