# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the products of matrices in learned models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

PRECISION = Parameter(
    "precision",
    "float32",
    "Numbers that the products of matrices have: tf32 has 10 bits of mantissa, and is float32 on "
    "the CPU; bfloat16 has 7.",
    choices=("float32", "tf32", "bfloat16"),
    when=INACTIVE,
)


def factor_type(precision: str) -> torch.dtype:
    """Return the type of the tensors that are multiplied."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@contextmanager
def products(precision: str, device: torch.device | str) -> Iterator[None]:
    """
    Multiply float32 matrices in tf32 within the block, if that is the precision, on a GPU.

    PyTorch's switch is that of the process; on a GPU only one thread plans.
    """
    if precision != "tf32" or torch.device(device).type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
