/* SPDX-License-Identifier: GPL-2.0 */
/* The program, as clang made it, inside the loader. */
	.section .rodata
	.balign 8
	.global mcp_xdp_object, mcp_xdp_object_end
mcp_xdp_object:
	.incbin "mcp_xdp.bpf.o"
mcp_xdp_object_end:
	.section .note.GNU-stack, "", %progbits
