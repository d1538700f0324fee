# SPDX-License-Identifier: MIT
"""What a powered Pi 4 keeps over a reset, and loses with its power.

The partition that `reboot` asked for lies in the register PM_RSTS, its bits spread over the even ones (mainline
drivers/watchdog/bcm2835_wdt.c; raspberrypi/firmware#878). The tryboot flag is set through the property channel of the
firmware, with tag 0x00038064 (raspberrypi/linux#3937). It is one-shot: "since the flag is cleared before starting the
firmware, a crash or reset will cause the original config.txt file to be loaded on the next reboot" [flow].
"""

from __future__ import annotations

from dataclasses import dataclass

#: Property tag by which a running system sets the flags of the next boot; bit 0 is tryboot.
SET_REBOOT_FLAGS = 0x00038064
#: "Partition 63 is a special partition used by the firmware to indicate halt."
HALT = 63
#: PM_RSTS after power-on: HADPOR alone (https://elinux.org/BCM2835_registers#PM).
RSTS_POWER_ON = 0x1000


@dataclass(frozen=True, slots=True)
class FirmwareState:
    """Between two boots: `tryboot`, the one-shot flag; `partition`, the number given to `reboot` (0: none).

    `FirmwareState()` is a board that was without power. The caller carries it: what `boot` was given is used up,
    whether that boot succeeds or not, and a reset that nobody asked for starts from `FirmwareState()` again.
    """

    tryboot: bool = False
    partition: int = 0

    @property
    def rsts(self) -> int:
        """PM_RSTS as the firmware finds it."""
        return RSTS_POWER_ON | sum(1 << 2 * bit for bit in range(6) if self.partition >> bit & 1)


def partition_of(rsts: int) -> int:
    """The partition number in a value of PM_RSTS."""
    return sum(1 << bit for bit in range(6) if rsts >> 2 * bit & 1)
