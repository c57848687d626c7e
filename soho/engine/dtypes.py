"""Floating-point types by the names that configs and arguments give them."""

import torch

HALF_DTYPES = dict(float16=torch.float16, bfloat16=torch.bfloat16)
"""Those of mixed precision."""
DTYPES = dict(float32=torch.float32) | HALF_DTYPES
