# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The translation of each operation of a traced graph, and what is traced as simpler operations.

A translation gets the writer, the node of the graph, and the node's arguments, in which tensors are
values. It returns a value, or several as the operation does. Raises UnsupportedError if it cannot
be done for each sample by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch._decomp import core_aten_decompositions, get_decompositions

from cem_planner_ros.compile.indexing import INDEXING
from cem_planner_ros.compile.pointwise import POINTWISE
from cem_planner_ros.compile.reductions import REDUCTIONS
from cem_planner_ros.compile.shapes import SHAPES

OPERATIONS: dict[str, Callable] = POINTWISE | SHAPES | INDEXING | REDUCTIONS
"""The translations by the name of the operation in PyTorch."""

_FORMULAS = "elu gelu leaky_relu silu hardtanh softplus mish log_sigmoid_forward addmm".split()
_FORMULAS += "_softmax _log_softmax native_layer_norm logit special_entr".split()


@functools.cache  # Gathering them takes a third of a trace.
def decompositions() -> dict:
    """Return what is traced as the core operations that it is made of."""
    table = dict(core_aten_decompositions())
    # Core operations that are simple formulas all the same.
    names = [getattr(torch.ops.aten, name) for name in _FORMULAS if hasattr(torch.ops.aten, name)]
    table |= get_decompositions(names)
    # Their own is in float32, PyTorch's in float64.
    table.pop(torch.ops.aten.std.correction, None)
    # It would write a stack of rows as one long row, which hides where the samples are.
    table.pop(torch.ops.aten.stack.default, None)
    return table
