# SPDX-License-Identifier: MIT
"""The board's own word on what it is: init/report_board.c, compiled for the build machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import InTools
from tests.test_init import FLAGS, SANITIZE

Says = Callable[[], str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, in_tools: InTools) -> tuple[Path, Says]:
    """The folder of the stand-in trees, and what the report says of them."""
    folder = tmp_path_factory.mktemp("board")
    sources = ("test/test_board.c", "report_board.c", "report_facts.c", "util.c")
    command = ["gcc", *FLAGS, *SANITIZE, "-I/host/project/init", "-o", "test_board"]
    done = in_tools([*command, *(f"/host/project/init/{name}" for name in sources)], folder, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("tree/system", "tree/chosen/bootloader", "card"):
        (folder / name).mkdir(parents=True)

    def says() -> str:
        done = in_tools(["./test_board", "tree", "card"], folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return folder, says


@pytest.mark.image
def test_a_board_names_its_revision_eeprom_and_card(built: tuple[Path, Says]) -> None:
    folder, says = built
    assert says() == "", "what is not there is not made up"
    (folder / "tree/system/linux,revision").write_bytes(bytes.fromhex("00c03114"))
    (folder / "tree/chosen/bootloader/build-timestamp").write_bytes((1746713597).to_bytes(4, "big"))
    (folder / "card/name").write_text("SD64G \n")
    (folder / "card/serial").write_text("0x1a2b3c4d\n")
    assert says() == "revision=c03114\neeprom=1746713597\ncard_name=SD64G\ncard_serial=0x1a2b3c4d\n"
    (folder / "tree/system/linux,revision").write_bytes(bytes(8))
    (folder / "card/name").write_text("\n")
    (folder / "card/serial").write_text("x" * 500)
    lines = says().splitlines()
    assert lines[0] == "eeprom=1746713597", "a property of another size is another thing"
    assert len(lines) == 2
    assert len(lines[1]) < 80
