# SPDX-License-Identifier: MIT
"""What the firmware writes into /chosen for the running system, as the source of an overlay.

The real one adds memory, MAC address, serial number, seeds and much more; QEMU adds memory. Here is what tells a
system which boot it is in: "The partition number used during boot", "Set to 1 if the tryboot flag was set at boot"
(Raspberry Pi documentation, Configuration > Device Trees > Firmware parameters, /chosen/bootloader). The register's
value is called `rsts` there since 2025, and in the firmware that we ship.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protopi.boot.firmware.load import Boot

#: BOOT_ORDER: "0x1 SD CARD".
BOOT_MODE_SD = 1


def chosen(boot: Boot) -> str:
    """The source of an overlay with /chosen/bootloader."""
    cells = {
        "boot-mode": BOOT_MODE_SD,
        "partition": boot.partition,
        "rsts": boot.before.rsts,
        "tryboot": int(boot.tryboot),
    }
    lines = "".join(f"\t\t{name} = <{value:#x}>;\n" for name, value in cells.items())
    return f"/dts-v1/;\n/plugin/;\n&{{/chosen}} {{\n\tbootloader {{\n{lines}\t}};\n}};\n"
