# SPDX-License-Identifier: MIT
"""The gate on hardware: cold boots of a real board, timed, judged, remembered and compared. docs/board-gate.md."""
