/* SPDX-License-Identifier: MIT */
/* The file systems that PID 1 mounts itself. */
#ifndef PROTOPI_MOUNTS_H
#define PROTOPI_MOUNTS_H

/* Before ready: /proc, /sys, /run, and /dev where the kernel has not mounted it. Errors go to the kernel log. */
void mounts_early(void);

/* After ready: /tmp, /var, cgroup2, /dev/pts, /dev/shm. Errors go to the kernel log. */
void mounts_late(void);

/* At shutdown: unmounts in reverse order; what is busy becomes read-only. / stays. */
void mounts_undo(void);

#endif
