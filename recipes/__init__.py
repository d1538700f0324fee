# SPDX-License-Identifier: MIT
"""How each part of an image is made, one module a part. The engine imports none of them."""
