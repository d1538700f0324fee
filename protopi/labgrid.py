# SPDX-License-Identifier: MIT
"""A board that a labgrid coordinator has: labgrid (an optional extra) switches its power and holds its serial line.

The board file names the place, and if need be labgrid's own environment file, whose target `main` has a RemotePlace
(or local resources), a ConsoleProtocol driver and a PowerProtocol driver; without one, the place's resources decide.
The place must have been acquired (`labgrid-client -p PLACE acquire`). Source: labgrid's documentation, "Getting
Started" and "Configuration".
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from protopi.errors import InfraError, UserError

if TYPE_CHECKING:
    from types import TracebackType

    from protopi.boardfile import BoardFile

#: Seconds that one read waits.
_TICK = 0.25
#: Resources of a place -> the driver that serves them, where no environment file says otherwise.
_POWER = {
    "NetworkPowerPort": "NetworkPowerDriver",
    "NetworkUSBPowerPort": "USBPowerDriver",
    "PDUDaemonPort": "PDUDaemonDriver",
    "TasmotaPowerPort": "TasmotaPowerDriver",
}


def _labgrid() -> Any:
    try:
        return importlib.import_module("labgrid")
    except ImportError as error:
        raise UserError(
            "the board file names a labgrid place, and labgrid is not installed",
            key="labgrid",
            hint="put it beside the project: .venv/bin/pip install labgrid",
        ) from error


class Place:
    """A labgrid place: a protopi.power.Switch and a protopi.boot.console.Line in one. A context manager."""

    def __init__(self, target: Any, name: str) -> None:
        """`target`: labgrid's, with its drivers; `name`: the place's, for messages."""
        self._name, self._target = name, target
        self._closing = threading.Event()
        self._power = self._driver("PowerProtocol")
        self._console = self._driver("ConsoleProtocol")

    @classmethod
    def of(cls, board: BoardFile) -> Place:
        """The place that a board file names. Raises UserError without labgrid, InfraError when it cannot be had."""
        assert board.labgrid is not None
        labgrid = _labgrid()
        place = board.labgrid.place
        try:
            if board.labgrid.config:
                path = board.path.parent / board.labgrid.config
                target = labgrid.Environment(str(path)).get_target("main")
                if target is None:
                    raise UserError("labgrid's file has no target `main`", where=str(path), key="targets")
            else:
                target = _default_target(labgrid, place)
        except UserError:
            raise
        except Exception as error:  # labgrid's own are many, and some are plain Exceptions
            raise InfraError(
                f"labgrid cannot give place {place}: {error}",
                hint=f"is it yours? labgrid-client -p {place} acquire; the coordinator: LG_COORDINATOR",
            ) from error
        return cls(target, place)

    def _driver(self, protocol: str) -> Any:
        try:
            driver = self._target.get_driver(protocol)
            self._target.activate(driver)
        except Exception as error:  # see above
            raise InfraError(f"place {self._name} gives no {protocol}: {error}") from error
        return driver

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def on(self) -> None:
        """See Switch."""
        self._do("on")

    def off(self) -> None:
        """See Switch."""
        self._do("off")

    def _do(self, what: str) -> None:
        try:
            getattr(self._power, what)()
        except Exception as error:  # see above
            raise InfraError(f"place {self._name} cannot switch its power {what}: {error}") from error

    def read(self) -> bytes:
        """See Line."""
        while not self._closing.is_set():
            try:
                return bytes(self._console.read(size=1, timeout=_TICK))
            except Exception as error:
                # pexpect's, which labgrid raises when nothing came; and what a driver does that was switched off.
                if type(error).__name__ != "TIMEOUT" and not self._closing.is_set():
                    raise OSError(f"place {self._name}: {error}") from error
        return b""

    def write(self, data: bytes) -> None:
        """See Line."""
        try:
            self._console.write(data)
        except Exception as error:
            raise OSError(f"place {self._name}: {error}") from error

    def close(self) -> None:
        """Let go of the line; labgrid's drivers are switched off, the power stays as it is."""
        self._closing.set()
        self._target.cleanup()


def _default_target(labgrid: Any, place: str) -> Any:
    """A target with the place's resources, a serial driver, and the power driver that fits one of them."""
    drivers = importlib.import_module("labgrid.driver")
    remote = importlib.import_module("labgrid.resource.remote")
    target = labgrid.Target("main")
    target.update_resources()
    remote.RemotePlace(target, name=place)
    target.update_resources()
    drivers.SerialDriver(target, name=None)
    kinds = {type(resource).__name__ for resource in target.resources}
    for kind, driver in _POWER.items():
        if kind in kinds:
            getattr(drivers, driver)(target, name=None)
            return target
    raise UserError(
        f"place {place} has nothing that switches power, among {', '.join(sorted(kinds)) or 'no resources'}",
        key="labgrid.config",
        hint="name an environment file of labgrid's with the power driver in it",
    )
