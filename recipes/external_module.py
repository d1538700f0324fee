# SPDX-License-Identifier: MIT
"""How a kernel module is built outside the kernel's tree, against its devel.tar, and what it must be to be shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protopi.errors import StepError
from recipes import musl

if TYPE_CHECKING:
    from pathlib import Path

    from protopi.step import Context


def unpack_devel(ctx: Context) -> Path:
    """Unpack the kernel's devel.tar below ctx.work; `ctx` must need the kernel. Returns the tree."""
    ctx.run(["tar", "-C", ctx.work, "-xf", ctx.input("kernel") / "devel.tar"])
    return ctx.work / "linux-devel"


def build_module(ctx: Context, devel: Path, source: Path, name: str, *, btf: bool, symbols: Path | None = None) -> Path:
    """Run kbuild in `source` with all warnings as errors; returns NAME.ko.

    `btf`: with type information, which programs of eBPF want, and which costs the kernel 4.9 million instructions
    when the first such module is loaded. `symbols`: Module.symvers of a module that this one needs. Raises StepError
    when kbuild fails, or leaves out BTF that was asked for.
    """
    arguments = ["ARCH=arm64", f"CROSS_COMPILE={musl.CROSS}", "W=1", "KCFLAGS=-Werror", f"M={source}"]
    if not btf:
        arguments.append("CONFIG_DEBUG_INFO_BTF_MODULES=")
    if symbols is not None:
        arguments.append(f"KBUILD_EXTRA_SYMBOLS={symbols}")
    # Through a shell, because what is looked for below is said on standard error.
    make: list[str | Path] = ["make", "-C", devel, f"-j{ctx.jobs}", *arguments, "modules"]
    output = ctx.run(["sh", "-c", 'exec "$0" "$@" 2>&1', *make], capture=True)
    print(output)
    # kbuild takes a missing vmlinux or resolve_btfids for a reason to go on without BTF; we do not.
    if "Skipping BTF" in output:
        raise StepError("the kernel's devel.tar lacks what makes BTF: vmlinux or resolve_btfids")
    return source / f"{name}.ko"


def check_module(ctx: Context, module: Path, *, btf: bool) -> None:
    """Raise StepError unless the module was made for this kernel, with BTF only where that is meant."""
    release = (ctx.input("kernel") / "release").read_text().strip()
    magic = ctx.run(["modinfo", "-F", "vermagic", module], capture=True).split()
    if not magic or magic[0] != release:
        raise StepError(f"{module.name} is made for {magic[:1]}, the kernel is {release}")
    sections = ctx.run([f"{musl.CROSS}readelf", "-SW", module], capture=True)
    if (" .BTF " in sections) != btf:
        raise StepError(f"{module.name} " + ("lacks BTF" if btf else "has BTF"))


def build_selftests(ctx: Context, folder: Path, *arguments: str) -> None:
    """Compile the selftests of `folder`, static, to ctx.out/selftests; `ctx` must have musl's packages."""
    target = ctx.out / "selftests"
    target.mkdir()
    words = [*musl.unpack(ctx).make_arguments(), *arguments, f"OUT={target}", f"OBJ={ctx.work / 'selftests'}"]
    ctx.run(["make", "-C", folder, f"-j{ctx.jobs}", *words, "all"])
    for program in sorted(target.iterdir()):
        musl.check_static(program)


def strip_module(ctx: Context, module: Path) -> Path:
    """Write the module without its debug information to ctx.out; returns that file."""
    target = ctx.out / module.name
    ctx.run([f"{musl.CROSS}strip", "--strip-debug", "-o", target, module])
    return target
