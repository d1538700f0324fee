# SPDX-License-Identifier: MIT
"""The Linux kernel: Debian's source, our fragments on top of allnoconfig, and what modules are built against.

Outputs: Image, System.map, config, release, dtbs/broadcom/*.dtb (with symbols, so that overlays apply),
modules/lib/modules/RELEASE/ (stripped, with BTF, depmod's indexes), devel.tar (./linux-devel: builds external
modules with BTF), builtin-compatible (the device-tree strings that built-in code answers to).
"""

from __future__ import annotations

import re
import shutil
import struct
import time
from typing import TYPE_CHECKING

from protopi.errors import Problem, StepError, UserError, UserErrors
from protopi.recipe import Inputs, Recipe
from recipes import kernel_cache
from recipes.kconfig import Setting, check, merge, parse_config, parse_fragment, render
from recipes.kconfig_tree import parse
from recipes.kernel_devel import write_devel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from protopi.step import Context

PACKAGE = "linux-source-6.12"
FRAGMENTS = ("base", "pi4", "mcp", "virt", "hardening")
#: Applied to the source before the user's, in this order; each says in its head why it is needed.
PATCHES = ("0001-bpf-describe-boot-struct_ops-on-first-use.patch",)
DTBS = ("bcm2711-rpi-4-b", "bcm2711-rpi-400", "bcm2711-rpi-cm4-io")
#: `struct arm64_image_header`: magic at offset 56; image_size (bytes in memory, .bss included) at 16.
MAGIC, MAGIC_OFFSET, SIZE_OFFSET = b"ARM\x64", 56, 16
#: `struct of_device_id`: name[32] and type[32] (empty), compatible[128], a pointer.
OF_DEVICE_ID = re.compile(rb"(?=\0{64}([A-Za-z0-9][A-Za-z0-9,._+-]{2,126})\0)")


class Kernel(Recipe):
    """The kernel of all boards; `variant: debug` adds the debug fragment and is a build of its own."""

    name = "kernel"
    summary = "Linux 6.12 from Debian's source, trimmed by fragments"
    licence = "GPL-2.0-only WITH Linux-syscall-note"
    cache = True

    def inputs(self) -> Inputs:
        kernel = self.image.kernel
        own = [*FRAGMENTS, *(["debug"] if kernel.variant == "debug" else [])]
        user: dict[str, str] = {}
        for kind, paths in (("fragment", kernel.fragments), ("patch", kernel.patches)):
            user |= {str(path): f"{kind}-{index}-{path.name}" for index, path in enumerate(paths)}
        return Inputs(
            debs={"sources": (PACKAGE,)},
            files=(
                *(f"kernel-config/{name}.config" for name in own),
                *(f"kernel-config/patches/{name}" for name in PATCHES),
            ),
            user_files=user,
            params={
                "variant": kernel.variant,
                "fragments": [f"kernel-config/{name}.config" for name in own],
                "user_fragments": [[user[str(path)], path.name] for path in kernel.fragments],
                "patches": [[user[str(path)], path.name] for path in kernel.patches],
            },
        )

    @staticmethod
    def build(ctx: Context) -> None:
        tree = ctx.work / "linux"
        sources = unpack(ctx, tree)
        patched = apply_patches(ctx, tree, sources)
        kept = kernel_cache.archive(ctx.debs("sources")[PACKAGE].sha256, ctx.params["variant"])
        if kept is not None:
            ctx.say("kernel: lay out the objects of the last build")
            kernel_cache.restore(ctx, tree, kept, patched)
        make = [*make_command(ctx), f"-j{ctx.jobs}"]
        configure(ctx, tree, make)
        ctx.say("kernel: compile")
        ctx.run([*make, "Image", "modules", "dtbs"], cwd=tree)
        ctx.say("kernel: install")
        install(ctx, tree, make)
        write_devel(ctx, tree, ctx.out / "devel.tar")
        if kept is not None:
            ctx.say("kernel: keep the objects for the next build")
            kernel_cache.keep(ctx, tree, kept, patched, sources)


def make_command(ctx: Context) -> list[str]:
    """`make` with everything that would else come from the machine: who, when, where, which compiler."""
    when = time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(ctx.epoch))
    return [
        "make",
        "ARCH=arm64",
        "CROSS_COMPILE=aarch64-linux-gnu-",
        f"KBUILD_BUILD_TIMESTAMP={when}",
        "KBUILD_BUILD_USER=protopi",
        "KBUILD_BUILD_HOST=protopi",
        "KBUILD_BUILD_VERSION=1",
    ]


def unpack(ctx: Context, tree: Path) -> dict[str, int]:
    """Unpack the source; returns its files with their times. The path never changes: debug information has it."""
    ctx.say("kernel: unpack")
    package = ctx.work / "package"
    ctx.run(["dpkg-deb", "-x", ctx.debs("sources")[PACKAGE].path, package])
    (archive,) = (package / "usr/src").glob("linux-source-*.tar.*")
    tree.mkdir()
    ctx.run(["tar", "-C", tree, "--strip-components=1", "--no-same-owner", "-xf", archive])
    shutil.rmtree(package)
    return kernel_cache.files(tree)


def apply_patches(ctx: Context, tree: Path, sources: Mapping[str, int]) -> dict[str, str]:
    """Apply our patches, then the user's; returns the files that they changed or made, each with its sha256."""
    for name in PATCHES:
        apply_patch(ctx, tree, ctx.project / "kernel-config/patches" / name, name)
    for name, shown in ctx.params["patches"]:
        apply_patch(ctx, tree, ctx.user(name), shown)
    changed = [name for name, time_ns in kernel_cache.files(tree).items() if sources.get(name) != time_ns]
    return kernel_cache.digests(tree, changed)


def apply_patch(ctx: Context, tree: Path, patch: Path, shown: str) -> None:
    """Apply one of the user's patches (-p1); all of it or an error."""
    try:
        ctx.run(["patch", "-p1", "--batch", "--forward", "--fuzz=0", "-i", patch], cwd=tree)
    except StepError as error:
        raise UserError(
            "the patch does not apply to the kernel", where=shown, hint="make it with -p1 against " + PACKAGE
        ) from error


def configure(ctx: Context, tree: Path, make: list[str]) -> None:
    """Merge the fragments into .config, and raise UserErrors for every line that did not survive."""
    sources = [(name, ctx.project / name) for name in ctx.params["fragments"]]
    sources += [(shown, ctx.user(name)) for name, shown in ctx.params["user_fragments"]]
    fragments: list[list[Setting]] = []
    problems: list[Problem] = []
    for shown, path in sources:
        settings, found = parse_fragment(shown, path.read_text())
        fragments.append(settings)
        problems += found
    if problems:
        raise UserErrors(problems)
    merged = merge(fragments)
    asked = ctx.work / "asked.config"
    asked.write_text(render(merged))
    # allnoconfig with the asked lines is complete: it leaves nothing open for olddefconfig to answer.
    ctx.run([*make, f"KCONFIG_ALLCONFIG={asked}", "allnoconfig"], cwd=tree)
    config = parse_config((tree / ".config").read_text())
    asked_differently = [s for s in merged.values() if config.get(s.symbol, "n") != s.value]
    if asked_differently:

        def read(name: str) -> str | None:
            path = tree / name
            return path.read_text() if path.is_file() else None

        problems = check(merged, config, parse(read, "Kconfig", {"SRCARCH": "arm64"}))
    if problems:
        raise UserErrors(problems)


def check_image(data: bytes) -> int:
    """The size in memory of a raw arm64 Image; raises StepError when `data` is not one."""
    if data[MAGIC_OFFSET : MAGIC_OFFSET + 4] != MAGIC:
        raise StepError(f"Image has no arm64 magic at offset {MAGIC_OFFSET}: compressed, or another machine's?")
    size: int = struct.unpack_from("<Q", data, SIZE_OFFSET)[0]
    if size < len(data):
        raise StepError(f"Image is {len(data)} bytes long, but its header says that it needs {size}")
    return size


def builtin_compatibles(vmlinux: bytes) -> list[str]:
    """The `compatible` strings of all device-id tables in an uncompressed kernel, sorted.

    modules.builtin.modinfo has aliases of modules only, so they are found by their form: an of_device_id with
    empty name and type, and zeros behind the string.
    """
    found = set()
    for match in OF_DEVICE_ID.finditer(vmlinux):
        start, end = match.span(1)
        padding = vmlinux[end : start + 128]
        if not padding.strip(b"\0"):
            found.add(match[1].decode())
    return sorted(found)


def install(ctx: Context, tree: Path, make: list[str]) -> None:
    """Copy the results to the output, after a look at the Image."""
    image = (tree / "arch/arm64/boot/Image").read_bytes()
    check_image(image)
    (ctx.out / "Image").write_bytes(image)
    (ctx.out / "builtin-compatible").write_text("".join(f"{name}\n" for name in builtin_compatibles(image)))
    release = (tree / "include/config/kernel.release").read_text().strip()
    (ctx.out / "release").write_text(release + "\n")
    shutil.copyfile(tree / ".config", ctx.out / "config")
    shutil.copyfile(tree / "System.map", ctx.out / "System.map")
    dtbs = ctx.out / "dtbs/broadcom"
    dtbs.mkdir(parents=True)
    for name in DTBS:
        shutil.copyfile(tree / f"arch/arm64/boot/dts/broadcom/{name}.dtb", dtbs / f"{name}.dtb")
    modules = ctx.out / "modules"
    ctx.run([*make, f"INSTALL_MOD_PATH={modules}", "INSTALL_MOD_STRIP=1", "modules_install"], cwd=tree)
    for link in ("build", "source"):
        (modules / "lib/modules" / release / link).unlink(missing_ok=True)
