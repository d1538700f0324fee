// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of an arena: pages that the kernel writes and one receiver reads.
 *
 * Concern: pages, the kernel's mapping and the receiver's. What is in them is
 *          mcp_slots.c's.
 * Context: process; may sleep.
 * Locking: none of its own.
 * Lifetime: the port's, and beyond it while copies are under way, so that none
 *           writes into freed pages: who ends the last one frees it then. A
 *           mapping of user space holds the pages themselves.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "mcp_internal.h"

/* Megabytes on a program's word: to have too little is its error, and kills nobody. */
#define PAGES_GFP (GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/**
 * mcp_area_free() - no port has it any more, and no copy is under way
 * @area: complete or not
 */
void mcp_area_free(struct mcp_area *area)
{
	u32 i;

	if (area->base)
		vunmap(area->base);
	mcp_slots_destroy(&area->slots);
	for (i = 0; i < area->npages; i++)
		put_page(area->pages[i]);
	kvfree(area->pages);
	kfree(area);
}

/**
 * mcp_area_new() - zeroed pages, charged to the caller's memory cgroup
 * @bytes: whole pages
 *
 * Return: the area, or ERR_PTR(-ENOMEM).
 */
struct mcp_area *mcp_area_new(u32 bytes)
{
	u32 wanted = bytes >> PAGE_SHIFT;
	struct mcp_area *area;

	area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	if (!area)
		return ERR_PTR(-ENOMEM);
	area->pages = kvcalloc(wanted, sizeof(*area->pages), GFP_KERNEL_ACCOUNT);
	if (!area->pages)
		goto fail;
	while (area->npages < wanted) {
		struct page *page = alloc_page(PAGES_GFP);

		if (!page)
			goto fail;
		area->pages[area->npages++] = page;
	}
	area->base = vmap(area->pages, wanted, VM_MAP, PAGE_KERNEL);
	if (!area->base || mcp_slots_init(&area->slots, bytes))
		goto fail;
	return area;
fail:
	mcp_area_free(area);
	return ERR_PTR(-ENOMEM);
}

/**
 * mcp_area_mmap() - let the receiver read it
 * @area: of the port that is mapped
 * @vma: shared, not writable
 *
 * The mapping can never become writable or executable, and a child does not
 * inherit it.
 *
 * Return: 0; -EPERM for a mapping that is private, writable or executable;
 * -ENXIO for one beyond the arena; -ENOMEM.
 */
int mcp_area_mmap(struct mcp_area *area, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	return vm_map_pages(vma, area->pages, area->npages);
}
