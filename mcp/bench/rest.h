/* SPDX-License-Identifier: GPL-2.0 */
/* Probes by number; the names end with a NULL. */
#ifndef MCP_BENCH_REST_H
#define MCP_BENCH_REST_H

#include "bench.h"

const char *probe_name(unsigned int which);
struct sample measure_probe(unsigned int which);
struct sample measure_load(const char *module);

#endif
