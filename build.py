#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Protopi's entry. Makes the virtual environment when it is missing or old, then hands over to protopi.cli.

Only the standard library is used here, so that a fresh machine needs nothing but Python 3.11.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older Python must get a sentence, not a syntax error
    sys.exit("protopi needs Python 3.11 or later; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

from protopi.bootstrap import enter

if __name__ == "__main__":
    enter(sys.argv[1:])
    from protopi.cli import main

    sys.exit(main(sys.argv[1:]))
