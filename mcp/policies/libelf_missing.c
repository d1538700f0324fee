// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions that Debian's libelf.a (elfutils 0.192) calls and does not hold.
 *
 * Concern: linking statically. They belong to elfutils' internal libeu.a, which
 *          is not packaged (sourceware.org bug 32293). A search tree begins with its root, and is that of
 *          tsearch(3); without threads in libelf its lock is nothing. A libelf.a
 *          that has them is not asked for them.
 */
#include <search.h>
#include <stddef.h>

void eu_search_tree_init(void **tree);
void eu_search_tree_fini(void **tree, void (*free_node)(void *node));

void eu_search_tree_init(void **tree)
{
	*tree = NULL;
}

void eu_search_tree_fini(void **tree, void (*free_node)(void *node))
{
	tdestroy(*tree, free_node);
	*tree = NULL;
}
