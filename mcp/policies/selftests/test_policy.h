/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Concern: what policy_test and its policy tell each other, through the
 * policy's global variables. Included by both sides, so it includes nothing.
 */
#ifndef TEST_POLICY_H
#define TEST_POLICY_H

/* What the policy answers; all else it allows. */
struct answers {
	int open;
	int grant;
	int allow;	/* requests without a parent */
	int nested;	/* requests with one */
};

/* All that it was asked about last. */
struct asked {
	unsigned long long times;
	unsigned long long sender;
	unsigned long long cookie;
	unsigned long long parent;
	unsigned long long deadline;
	unsigned long long latency;
	unsigned int flags;
	unsigned int rights;
	unsigned int tool;
	unsigned int length;
	unsigned int answer;
	unsigned int status;
	unsigned int uid;
	unsigned int gid;
	unsigned int pid;
	unsigned short method;
	unsigned short proto;
	unsigned char nfds;
	unsigned char depth;
	char endpoint[56];
	char name[56];
	char label[36];
	char cut[4];	/* the endpoint's name, in too small a buffer */
	int lengths[4];	/* what the functions for names returned */
};

/* Two policies that refuse everything, each in its way. */
#define FIRST_ERRNO	33	/* EDOM */
#define SECOND_ERRNO	34	/* ERANGE */

#endif /* TEST_POLICY_H */
