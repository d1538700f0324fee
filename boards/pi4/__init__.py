# SPDX-License-Identifier: MIT
"""Raspberry Pi 4 Model B and Pi 400.

Compute Modules 4 and 4S are refused by name: config.txt sends them to a kernel that does not exist, so their firmware
stops and says so, where a wrong tree would hang without a word. They differ (eMMC, no USB 3 controller, carrier boards)
and nothing here has been tried on one.

QEMU has no Ethernet for this board. Where a network is asked for, it is a USB adapter (CDC Ethernet) on the DWC2
controller, which is a host in QEMU alone.
"""

from boards import HERE, Board

BOARD = Board(
    name="pi4",
    title="Raspberry Pi 4 Model B",
    model="4b",
    machine=("-M", "raspi4b", "-smp", "4"),
    drive=("-drive", "file={file},format=raw,if=sd"),
    network=("-net", "none", "-netdev", "user,id=net0{forward}", "-device", "usb-net,netdev=net0"),
    devicetrees=("bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb"),
    overlay="boards/pi4/board.dtso",
    qemu_overlay=HERE / "pi4" / "qemu.dtso",
    cost=HERE / "pi4" / "cost.yaml",
    allow=HERE / "pi4" / "qemu-allow.txt",
    # The same kernel boots on `virt`, whose disk is built in: what that costs here is a row of the gate.
    carried=("virtio_init", "virtio_mmio_init", "virtio_blk_init"),
)
