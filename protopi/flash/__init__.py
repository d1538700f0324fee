# SPDX-License-Identifier: MIT
"""Writes images to cards: which disks there are, which may be written, and writing one so that it can be trusted."""
