/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* TAP for the tests of libmcp. */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>

/* The alarm of tap_begin(), again. */
void tap_alarm(void);
/* Starts the output; an alarm ends a hang. */
void tap_begin(void);
/* Prints the plan; gives main()'s exit status. */
int tap_end(void);
bool check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* @got must be @wanted; prints both if it is not. */
bool check_is(long got, long wanted, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The test cannot go on. */
void bail_out(const char *why, int error) __attribute__((noreturn));
/* Nothing can be tested here. */
void skip_all(const char *why) __attribute__((noreturn));

#endif
