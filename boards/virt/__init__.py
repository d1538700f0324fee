# SPDX-License-Identifier: MIT
"""QEMU's own machine `virt`: the same kernel, boot files and card as a Pi 4's, with a network and a watchdog.

The card is a virtio disk, which completes requests by the host's time: counts are not exact here. Equal boots lay 0.05
to 1.6 % apart (idle and busy host), always above the least; so the least is held to 1 % of the baseline, and boots that
lie further apart than `tolerance` are no measurement. No model: this is no Pi 4.
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
    exact=False,
    tolerance=0.05,
    sd_trace=False,
)
