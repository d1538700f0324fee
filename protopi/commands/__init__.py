# SPDX-License-Identifier: MIT
"""One module a verb; its docstring is its manual page."""
