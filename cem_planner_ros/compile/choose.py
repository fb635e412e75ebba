# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Chooses the execution that runs the iterations, and says why no faster one runs."""

from __future__ import annotations

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.compile.library import has_compiler
from cem_planner_ros.compile.plan_graph import GraphExecution
from cem_planner_ros.compile.rehearsal import what_changes
from cem_planner_ros.compile.torch_compile import TorchCompileExecution
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.errors import describe, first_line
from cem_planner_ros.planning.execution import EagerExecution, Execution, Setup
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

BACKENDS = ("auto", "cudagraph", "compile", "eager")

BACKEND = Parameter(
    "planner.backend",
    "auto",
    "How the iterations run. auto takes the fastest way that works; the log says why no "
    "faster one does. cudagraph is a CUDA graph, compile is a compiled library or "
    "torch.compile, eager is plain PyTorch.",
    choices=BACKENDS,
    when=INACTIVE,
)


def choose(backend: str, setup: Setup, like: Execution | None = None) -> Execution:
    """
    Return the fastest execution that works for a rollout; its `reason` says why none is faster.

    With `backend` "auto" this is the C++ kernel on the CPU, and a CUDA graph on a GPU. If it cannot
    be made, `torch.compile` is tried, then eager PyTorch. "compile" does not try the CUDA graph.

    Args:
        backend: one of BACKENDS except "eager", with which nothing is compiled.
        setup: what the execution is made of.
        like: an execution of the same rollout; what was compiled for it is used again.

    Raises ConfigurationError if there is no such backend.
    """
    BACKEND.check(backend)
    kernel = like.kernel if isinstance(like, CppExecution) else None
    on_cpu = setup.belief.mean.device.type == "cpu"
    reasons = []
    if backend == "cudagraph" and on_cpu:
        reasons.append("no CUDA graph: the device is a CPU")
    obstacle = _obstacle(setup, is_compiled=kernel is not None)
    if obstacle:
        return EagerExecution(setup, "; ".join([*reasons, obstacle]))

    # Tracing runs the plugin, which may raise anything; and whatever a compiler raises, eager still
    # plans.
    if on_cpu or backend != "compile":
        try:
            if on_cpu:
                return CppExecution(setup, "; ".join(reasons), kernel)
            return GraphExecution(setup)
        except Exception as error:
            reasons.append(f"no {'C++ kernel' if on_cpu else 'CUDA graph'}: {_why(error)}")
    try:
        if on_cpu and not has_compiler():
            raise UnsupportedError("it needs the C++ compiler too")
        return TorchCompileExecution(setup, "; ".join(reasons))
    except Exception as error:
        reasons.append(f"torch.compile failed: {_why(error)}")
    return EagerExecution(setup, "; ".join(reasons))


def _why(error: Exception) -> str:
    return first_line(error) if isinstance(error, UnsupportedError) else describe(error)


def _obstacle(setup: Setup, is_compiled: bool) -> str:
    """
    Return why it is not worth trying to compile the rollout; "" if it is.

    `is_compiled` says whether this was done before: then plugins change nothing that is compiled.
    """
    rollout, device = setup.rollout, setup.belief.mean.device
    on_cpu = device.type == "cpu"
    if rollout.dynamics.rolls_out_itself:
        return "the model rolls out by itself, not in PyTorch"
    fastest = "C++ kernel" if on_cpu else "CUDA graph"
    if rollout.reads_numbers:
        return (
            f"no {fastest}: {', '.join(rollout.reads_numbers)} "
            "reads a number of a tensor in Python (item(), float(), if), so nothing can be "
            "compiled; compute with the tensor, choose with torch.where"
        )
    through_all = rollout.dynamics.members > 1 and rollout.particles.propagation == "all"
    is_one_kernel = through_all and rollout.dynamics.member is not None
    if rollout.dynamics.members > 1 and on_cpu and not is_one_kernel:
        # Large products of matrices are what takes the time, and no compiler makes them faster.
        return "the model has members, which run side by side in PyTorch"
    change = "" if is_compiled else what_changes(rollout, setup.search.horizon, device)
    # torch.compile would compile for seconds whenever a number changes.
    return f"no {fastest}: {change}" if change else ""
