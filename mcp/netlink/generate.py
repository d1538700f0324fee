# SPDX-License-Identifier: GPL-2.0
"""Make the C of mcp.yaml with the kernel's own generator, tools/net/ynl/ynl-gen-c.py.

    generate.py KERNEL TARGET

KERNEL is a tree of Linux 6.12 that has the generator, TARGET a copy of mcp/ whose three files are written:
include/uapi/linux/mcp_netlink.h, kernel/mcp_netlink_gen.h, kernel/mcp_netlink_gen.c. They are kept with the sources, as
the kernel keeps its own, because the packages that DKMS builds against have no generator; the recipe of mcp.ko makes
them again and refuses a difference.
"""

from __future__ import annotations

import importlib.util
import runpy
import shutil
import sys
import tempfile
import types
from pathlib import Path

HERE = Path(__file__).parent
FILES = (
    ("uapi", "--header", "include/uapi/linux/mcp_netlink.h"),
    ("kernel", "--header", "kernel/mcp_netlink_gen.h"),
    ("kernel", "--source", "kernel/mcp_netlink_gen.c"),
)


def accept_without_schema() -> None:
    """Without python3-jsonschema the generator would not start; it reads the specification all the same."""
    if importlib.util.find_spec("jsonschema") is None:
        module = types.ModuleType("jsonschema")
        module.__dict__["validate"] = lambda _instance, _schema: None
        sys.modules["jsonschema"] = module


def generate(kernel: Path, target: Path) -> None:
    """Write the three files. Raises what the generator raises, or SystemExit."""
    generator = kernel / "tools/net/ynl/ynl-gen-c.py"
    accept_without_schema()
    sys.path.insert(0, str(generator.parent))
    with tempfile.TemporaryDirectory() as name:
        # The generator looks upwards for MAINTAINERS to tell where the specification lies; the schema lies there too.
        root = Path(name)
        (root / "MAINTAINERS").touch()
        spec = root / "mcp/netlink/mcp.yaml"
        spec.parent.mkdir(parents=True)
        shutil.copy(HERE / "mcp.yaml", spec)
        shutil.copy(kernel / "Documentation/netlink/genetlink.yaml", root / "mcp")
        for mode, part, path in FILES:
            sys.argv = [str(generator), "--mode", mode, part, "--spec", str(spec), "-o", str(target / path)]
            runpy.run_path(str(generator), run_name="__main__")


if __name__ == "__main__":
    generate(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
