# SPDX-License-Identifier: MIT
"""Fixtures of the engine's tests: a store, and a tiny project with its own recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from protopi.store import Store


@pytest.fixture
def warnings_said() -> list[str]:
    """What the store warned about."""
    return []


@pytest.fixture
def store(tmp_path: Path, warnings_said: list[str]) -> Store:
    """An empty store."""
    return Store(tmp_path / "store", warnings_said.append)
