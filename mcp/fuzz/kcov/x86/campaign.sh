#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Sequences by the hundred thousand: mcp.ko and mcp_net.ko, built for x86 with KASAN, lockdep, kmemleak and KCOV, on a
# machine that KVM runs. Needs gcc, make, flex, bison, bc, libelf's headers, cpio and qemu-system-x86_64.
#   campaign.sh LINUX-6.12-SOURCE WORK-FOLDER build
#   campaign.sh LINUX-6.12-SOURCE WORK-FOLDER run SEQUENCES SECONDS SEED   (for each of $CPUS, or 2, CPUs)
# What was run is in WORK-FOLDER/pcs, what was kept in WORK-FOLDER/corpus, what was said in WORK-FOLDER/log.
# Exit status: 0 when no process of it and nothing of the kernel has complained.
set -eu
source=$1 work=$2 command=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
kcov=$(dirname "$here")
mcp=$(dirname "$(dirname "$kcov")")
jobs=$(nproc)

build_kernel() {
    mkdir -p "$work/kernel"
    make -s -C "$source" O="$work/kernel" ARCH=x86 KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig
    make -s -C "$source" O="$work/kernel" ARCH=x86 -j"$jobs" bzImage modules
}

# On a copy: kbuild writes beside the sources.
build_modules() {
    rm -rf "$work/mcp" && mkdir -p "$work/mcp"
    cp -r "$mcp/kernel" "$mcp/net" "$mcp/include" "$work/mcp/"
    for folder in kernel net; do
        make -s -C "$work/kernel" M="$work/mcp/$folder" ARCH=x86 KCFLAGS=-g -j"$jobs" modules
    done
    for module in kernel/mcp net/mcp_net; do
        objdump -dlr --no-show-raw-insn "$work/mcp/$module.ko" > "$work/$(basename $module).txt"
    done
}

build_programs() {
    side=$mcp/kernel/selftests net=$mcp/net/selftests
    rm -rf "$work/root" && mkdir -p "$work/root"
    flags="-std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -isystem $mcp/include/uapi -I$side -I$net"
    # shellcheck disable=SC2086
    (cd "$kcov" && gcc $flags -include x86/names.h -o "$work/root/kcov_fuzz" main.c sequence.c world.c world_frame.c \
        world_netlink.c wire.c waiter.c trace.c coverage.c "$side"/mcp_test.c "$side"/mcp_ring.c "$side"/mcp_genl.c \
        "$net"/net_link.c "$net"/net_peer.c "$net"/net_crypto.c && gcc $flags -o "$work/root/init" x86/init.c)
    for module in kernel/mcp net/mcp_net; do
        strip --strip-debug -o "$work/root/$(basename $module).ko" "$work/mcp/$module.ko"
    done
    (cd "$work/root" && find . | cpio -o -H newc --quiet > "$work/root.cpio")
}

run() {
    timeout $(($2 + 300)) "${QEMU:-qemu-system-x86_64}" -M pc -accel kvm -cpu host -smp "${CPUS:-2}" -m 2G \
        -display none -no-reboot -nodefaults -serial stdio -serial "file:$work/pcs.raw" \
        -serial "file:$work/corpus" -kernel "$work/kernel/arch/x86/boot/bzImage" -initrd "$work/root.cpio" \
        -append "console=ttyS0 rdinit=/init reboot=t loglevel=5 -- $*" < /dev/null | tr -d '\r' | tee "$work/log"
    sort -u "$work/pcs.raw" > "$work/pcs"
    grep -q '^END$' "$work/log"
    ! grep -E '^BAD|BUG:|WARNING:|possible circular|suspicious RCU|unreferenced object|blocked for more|UBSAN' "$work/log"
}

case $command in
    build) build_kernel && build_modules && build_programs ;;
    modules) build_modules && build_programs ;;
    run) run "$@" ;;
    *) exit 2 ;;
esac
