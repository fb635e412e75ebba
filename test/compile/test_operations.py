# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Every operation that generated code knows, compared with PyTorch where numbers are awkward."""

import itertools
import math

import numpy as np
import pytest
import torch
from emulated_gpu import EmulatedGpu

from cem_planner_ros.compile.cpu import BLOCK, Kernel, Trajectory
from cem_planner_ros.compile.cuda import CudaRollout
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.planning.rollout import Rollout

NAN, INF = math.nan, math.inf
AWKWARD = (0.0, -0.0, 0.5, -1.5, 2.5, 1.0, -2.0, 3.7, -7.3, 1e-30, 1e12, -3e30, INF, -INF, NAN)
GRID = torch.tensor(list(itertools.product(AWKWARD, AWKWARD))).T
"""All pairs (2, n)."""

MATRIX = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
UP = torch.tensor([[0.0], [0.0], [1.0]])
SQUARE = torch.tensor([[1.0, -0.5], [0.25, 2.0]])
ORDER = torch.tensor([2, 0, 1])
COUNT = torch.tensor([3, -2, 7])
LONG = torch.arange(41.0) ** 2
WIDE = torch.tensor([[0.1], [-0.2], [0.3]], dtype=torch.float64)
FLAG = torch.tensor(True)
FLAGS = torch.tensor([[True], [False], [True]])
STRIDED = torch.arange(12.0).reshape(3, 4).T[1:3]
BYTES = torch.tensor([3, 200, 0], dtype=torch.uint8)
GRIDMAP = torch.arange(20.0).reshape(4, 5)


def three(x, y):
    return torch.stack((x, y, 0.5 * y - 1.0))


def written(x, y):
    rows = torch.zeros_like(three(x, y))
    rows[0] = y
    rows[1:] += three(x, y)[:2]
    rows[2].mul_(2.0)
    return rows


def norms(x, y):
    rows = three(x, y)
    return torch.stack([torch.linalg.vector_norm(rows, p, dim=0) for p in (0, 1, 2, INF, -INF)])


def places(x):
    """Numbers that may become integers, which infinite and huge ones may not."""
    return x.nan_to_num(0.0, 0.0, 0.0).clamp(-9.0, 9.0)


# Name -> function of x and y (N,) that returns (N,) or (k, N).
OPERATIONS = {
    # One number each.
    "round": lambda x, y: torch.round(x),
    "round to decimals": lambda x, y: torch.round(places(x), decimals=1),
    "isfinite": lambda x, y: torch.isfinite(x).float(),
    "isnan": lambda x, y: x.isnan().float() + 2.0 * x.isinf() + 4.0 * x.isposinf(),
    "sign": lambda x, y: torch.stack((x.sign(), x.sgn(), torch.signbit(x).float())),
    "copysign": lambda x, y: torch.copysign(x, y),
    "heaviside": lambda x, y: torch.heaviside(x, y),
    "nan_to_num": lambda x, y: torch.stack((x.nan_to_num(), x.nan_to_num(1.0, 2.0, 3.0))),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, 2.0),
    "whole": lambda x, y: torch.stack((x.floor(), x.ceil(), x.trunc(), x.frac())),
    "sine": lambda x, y: torch.stack((places(x).sin(), places(x).cos(), places(x).tan())),
    "simple": lambda x, y: torch.stack((x.abs(), -x, x.square(), x.reciprocal(), x.relu())),
    "roots": lambda x, y: torch.stack((x.sqrt(), x.rsqrt(), x.square().sqrt())),
    "logarithms": lambda x, y: torch.stack((x.log(), x.log1p(), x.log2(), x.log10())),
    "exponentials": lambda x, y: torch.stack((x.exp(), x.expm1(), x.exp2(), x.sigmoid())),
    "errors": lambda x, y: torch.stack((x.erf(), x.erfc())),
    "hyperbolic": lambda x, y: torch.stack((x.tanh(), x.sinh(), x.cosh(), x.asinh(), x.acosh())),
    "angles": lambda x, y: torch.stack((x.asin(), x.acos(), x.atan(), x.atanh())),
    "networks": lambda x, y: torch.stack(
        (
            torch.nn.functional.softplus(x),
            torch.nn.functional.elu(x),
            torch.nn.functional.silu(places(x)),
            torch.nn.functional.leaky_relu(x),
            torch.nn.functional.hardtanh(x),
        )
    ),
    "clamp": lambda x, y: torch.stack(
        (x.clamp(-1.0, 2.0), x.clamp(min=0.0), x.clamp(max=y), x.clamp(min=y), x.clip(-y, y))
    ),
    # Two numbers each.
    "fmod": lambda x, y: torch.fmod(x, y),
    "fmod by a number": lambda x, y: torch.fmod(x, 0.7),
    "remainder": lambda x, y: torch.remainder(places(x), torch.where(y.abs() > 1e-20, y, 0.7)),
    "remainder of a whole turn": lambda x, y: torch.remainder(
        torch.where(x < -1e20, 5.0, x), 2.0 * math.pi
    ),
    "floor_divide": lambda x, y: torch.stack((x // y, x.div(y, rounding_mode="trunc"))),
    "hypot": lambda x, y: torch.hypot(x, y),
    "atan2": lambda x, y: torch.atan2(x, y),
    "pow": lambda x, y: torch.stack((x.pow(y), x**3, 2.0**x, x**0.5, x**-1)),
    "maximum": lambda x, y: torch.stack((torch.maximum(x, y), torch.minimum(x, y))),
    "fmax": lambda x, y: torch.stack((torch.fmax(x, y), torch.fmin(x, y))),
    "comparisons": lambda x, y: torch.stack(
        [f(x, y).float() for f in (torch.gt, torch.ge, torch.lt, torch.le, torch.eq, torch.ne)]
    ),
    "logic": lambda x, y: torch.stack(
        (
            ((x > 0) ^ (y > 0)).float(),
            torch.logical_xor(x, y).float(),
            torch.logical_and(x, y).float(),
            torch.logical_or(x, y).float(),
            torch.logical_not(x).float(),
            (~(x > y) & (x < 1) | (y == 0)).float(),
        )
    ),
    "where": lambda x, y: torch.where(x > y, x, -y),
    "xlogy": lambda x, y: torch.xlogy(x, y),
    "logaddexp": lambda x, y: torch.logaddexp(places(x), places(y)),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "addcmul": lambda x, y: torch.addcmul(x, x, y, value=0.5),
    "addcdiv": lambda x, y: torch.addcdiv(x, x, y, value=0.5),
    "alpha": lambda x, y: torch.add(x, y, alpha=2) - torch.sub(x, y, alpha=0.5),
    # Over a dimension.
    "any": lambda x, y: torch.stack(((three(x, y) > 0).any(0), three(x, y).any(0))).float(),
    "all": lambda x, y: torch.stack(((three(x, y) > 0).all(0), three(x, y).all(0))).float(),
    "count": lambda x, y: (three(x, y) > 0).sum(0).float() + (three(x, y) != 0).count_nonzero(0),
    "cumsum": lambda x, y: three(x, y).cumsum(0),
    "cumprod": lambda x, y: three(x, y).cumprod(0),
    "argmin": lambda x, y: torch.stack((three(x, y).argmin(0), three(x, y).argmax(0))).float(),
    "min": lambda x, y: torch.cat(
        [
            torch.stack((found.values, found.indices.float()))
            for found in (three(x, y).min(0), three(x, y).max(0))
        ]
    ),
    "amax": lambda x, y: torch.stack((three(x, y).amax(0), three(x, y).amin(0))),
    "sums": lambda x, y: torch.stack(
        (three(x, y).sum(0), three(x, y).mean(0), three(x, y).prod(0))
    ),
    "var": lambda x, y: torch.stack((three(x, y).var(0), three(x, y).std(0, correction=0))),
    "norm": norms,
    "general norm": lambda x, y: torch.linalg.vector_norm(three(places(x), places(y)), 3, dim=0),
    "logsumexp": lambda x, y: three(places(x), places(y)).logsumexp(0),
    "softmax": lambda x, y: three(places(x), places(y)).softmax(0),
    "sort": lambda x, y: torch.cat((three(x, y).sort(0)[0], three(x, y).topk(2, 0)[0])),
    "median": lambda x, y: three(x, y).median(0).values,
    # Products.
    "einsum": lambda x, y: torch.einsum("ij,jn->in", MATRIX, three(x, y)),
    "quadratic form": lambda x, y: torch.einsum(
        "in,ij,jn->n", three(places(x), y)[::2], SQUARE, three(places(x), places(y))[:2]
    ),
    "samples first": lambda x, y: (three(x, y).T @ MATRIX.T).T,
    "linear": lambda x, y: torch.nn.functional.linear(three(x, y).T, MATRIX, MATRIX[:, 0]).T,
    "cross": lambda x, y: torch.cross(three(places(x), places(y)), UP * (x == x), dim=0),
    "tensordot": lambda x, y: torch.tensordot(MATRIX, three(x, y), 1),
    "matmul": lambda x, y: torch.matmul(MATRIX, three(x, y)) + MATRIX[:, :1],
    # Where things stand.
    "roll": lambda x, y: three(x, y).roll(1, 0),
    "flip": lambda x, y: three(x, y).flip(0),
    "pieces": lambda x, y: torch.cat((*three(x, y).split(2)[::-1], three(x, y).chunk(3)[1])),
    "diff": lambda x, y: three(x, y).diff(dim=0),
    "repeat": lambda x, y: three(x, y)[:1].repeat(2, 1) + three(x, y)[:2].repeat_interleave(1, 0),
    "index_select": lambda x, y: three(x, y).index_select(0, torch.tensor([2, 0])),
    "index by a tensor": lambda x, y: three(x, y)[ORDER],
    "look-up by numbers": lambda x, y: (
        x * LONG[COUNT[:, None] - 17 + 20 * torch.arange(2)].sum(1, True)
    ),
    "gather": lambda x, y: three(x, y).gather(0, three(x, y).argmin(0, keepdim=True)),
    "lookup": lambda x, y: GRIDMAP[
        places(x).abs().clamp(max=3).long(), places(y).abs().clamp(max=4).int()
    ],
    "tril": lambda x, y: torch.tril(SQUARE) @ three(x, y)[:2] + torch.triu(SQUARE).sum(),
    "written in place": written,
    # Other types.
    "bools": lambda x, y: torch.where(FLAG & FLAGS, three(x, y), -three(x, y)),
    "integers": lambda x, y: three(x, y) * COUNT[:, None] + (COUNT[0] // 2) * (COUNT[1] % 3),
    "integers of each": lambda x, y: (places(x).long() * 3 - places(y).int() // 2).float(),
    "doubles": lambda x, y: (three(x, y) * WIDE + WIDE.exp()).float(),
    "functions of doubles": lambda x, y: torch.stack(
        [f(x.double()).float() for f in (torch.sin, torch.exp, torch.tanh, torch.sqrt, torch.log)]
    ),
    "a number of type double": lambda x, y: x * WIDE[0, 0],
    "strided": lambda x, y: three(x, y)[:2] * STRIDED[:, :1] + STRIDED.sum(),
    "bytes": lambda x, y: three(x, y) * BYTES.float()[:, None],
}


class Everything(Dynamics):
    """Every operation of two actions, one state for each row of what it returns."""

    action_names = ("x", "y")
    action_low, action_high, action_units = (-1.0,) * 2, (1.0,) * 2, ("",) * 2

    def __init__(self, operations):
        self.operations = operations
        rows = [self.rows(function(*torch.zeros(2, 1))) for function in operations.values()]
        self.counts = [len(row) for row in rows]
        self.state_names = tuple(f"s{i}" for i in range(sum(self.counts)))
        super().__init__()

    @staticmethod
    def rows(result):
        return result if result.ndim == 2 else result[None]

    def step(self, state, action, dt):
        return torch.cat([self.rows(f(action[0], action[1])) for f in self.operations.values()])


class Nothing(Cost):
    """Zero, so that what states are is compared by the test alone."""


SIGNED = {"round", "copysign", "whole", "where", "flip", "roll", "atan2"}
"""Where the sign of a zero counts."""


def check(model, got):
    """Compare states (nx, n) after a step with PyTorch."""
    with torch.no_grad():
        expected = model.step(torch.zeros(len(model.state_names), GRID.shape[1]), GRID, None)
    wrong = []
    parts = zip(
        model.operations, expected.split(model.counts), got.split(model.counts), strict=True
    )
    for name, want, have in parts:
        same = torch.isclose(have, want, rtol=3e-6, atol=1e-6, equal_nan=True)
        if name in SIGNED:
            same &= (torch.signbit(have) == torch.signbit(want)) | (want != 0)
        for row, sample in (~same).nonzero()[:3].tolist():
            x, y = GRID[:, sample].tolist()
            wrong.append(
                f"{name}[{row}] of {x}, {y} is {have[row, sample]}, expected {want[row, sample]}"
            )
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def model():
    return Everything(OPERATIONS)


def test_the_library_computes_what_pytorch_does(model):
    kernel = Kernel(Rollout(model, [Nothing(model)], 0.05))
    trajectory = Trajectory(kernel, 1)
    blocks = [
        trajectory(np.zeros(len(model.state_names)), block[None].numpy(), np.full(1, 0.05))[1]
        for block in GRID.split(BLOCK, 1)
    ]
    check(model, torch.tensor(np.concatenate(blocks, 1), dtype=torch.float32))


def test_the_text_for_a_gpu_computes_what_pytorch_does(model):
    kernel = CudaRollout(Rollout(model, [Nothing(model)], 0.05), EmulatedGpu())
    states = kernel.predict(np.zeros(len(model.state_names)), GRID[None].numpy(), np.full(1, 0.05))
    check(model, torch.tensor(states[1], dtype=torch.float32))
