# SPDX-License-Identifier: MIT
"""The engine: turns recipes into images. It knows nothing of MCP or of the Pi 4."""
