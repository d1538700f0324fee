# SPDX-License-Identifier: MIT
"""The boot harness: plays the firmware over a raw SD image, boots it in QEMU, and judges what happened."""
