# SPDX-License-Identifier: MIT
"""The cost of single initcalls is read from the kernel's own words."""

from __future__ import annotations

from protopi.boot.initcalls import parse
from protopi.boot.judge import parse_kmsg

LOG = b"""7,0,100,-;calling  virtio_init+0x0/0x38 @ 1
7,1,120,-;initcall virtio_init+0x0/0x38 returned 0 after 12 usecs
7,2,140,-;initcall virtio_blk_init+0x0/0xa4 returned -19 after 30 usecs
7,3,160,-;initcall late_init+0x0/0xa4 [mcp] returned 0 after 5 usecs
6,4,170,-;initcall but not of the form
"""


def test_every_initcall_that_ended_is_counted_whatever_it_returned() -> None:
    assert parse(parse_kmsg(LOG)) == {"virtio_init": 12, "virtio_blk_init": 30, "late_init": 5}
