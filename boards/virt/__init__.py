# SPDX-License-Identifier: MIT
"""QEMU's own machine `virt`: the same kernel, boot files and card as a Pi 4's, with a network and a watchdog.

The card is a virtio disk, which completes requests by the host's time. So virtual time contains waits that are the
host's (equal boots lay 1.3 % apart on an idle one), and only executed instructions are compared: those of ten equal
boots lay 0.1 % apart. No model: this is no Pi 4.
"""

from boards import HERE, Board

BOARD = Board(
    name="virt",
    title="QEMU virt (arm64)",
    model="4b",
    machine=("-M", "virt", "-cpu", "cortex-a72", "-smp", "4", "-m", "1G"),
    drive=("-drive", "file={file},format=raw,if=none,id=card", "-device", "virtio-blk-device,drive=card"),
    network=("-netdev", "user,id=net0{forward}", "-device", "virtio-net-device,netdev=net0"),
    devicetrees=("bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb"),
    overlay="boards/pi4/board.dtso",
    qemu_overlay=None,
    allow=HERE / "virt" / "qemu-allow.txt",
    tolerance=0.01,
    sd_trace=False,
)
