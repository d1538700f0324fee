/* SPDX-License-Identifier: MIT */
/* The orderly end, within five seconds. */
#ifndef PROTOPI_SHUTDOWN_H
#define PROTOPI_SHUTDOWN_H

#include "supervisor.h"
#include "watchdog.h"

enum ending { ENDING_HALT, ENDING_POWER_OFF, ENDING_REBOOT };

/* Stops services, processes, file systems, the machine. All signals are blocked. Does not return. */
_Noreturn void shutdown_system(enum ending ending, const struct supervisor *supervisor, struct watchdog *watchdog);

#endif
