# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Chooses the executor that runs the iterations, and says why no faster one runs."""

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
    Return the fastest executor that works for a rollout; its `reason` says why none is faster.

    With `backend` "auto" this is the C++ kernel on the CPU, and a CUDA graph on a GPU. If it cannot
    be made, `torch.compile` is tried, then eager PyTorch. "compile" does not try the CUDA graph.

    Args:
        backend: one of BACKENDS.
        setup: what the execution is made of.
        like: an execution of the same rollout; what was compiled for it is used again.

    Raises ConfigurationError if there is no such backend.
    """
    BACKEND.check(backend)
    rollout = setup.rollout
    reasons = []

    def gave_up(what: str, error: Exception) -> None:
        why = first_line(error) if isinstance(error, UnsupportedError) else describe(error)
        reasons.append(f"{what}: {why}")

    on_cpu = setup.belief.mean.device.type == "cpu"
    fastest = "C++ kernel" if on_cpu else "CUDA graph"
    through_all = rollout.dynamics.members > 1 and rollout.particles.propagation == "all"
    is_one_kernel = through_all and rollout.dynamics.member is not None
    if backend == "cudagraph" and on_cpu:
        reasons.append("no CUDA graph: the device is a CPU")
    if rollout.dynamics.rolls_out_itself:
        backend = "eager"
        reasons.append("the model rolls out by itself, not in PyTorch")
    elif rollout.reads_numbers and backend != "eager":
        backend = "eager"
        reasons.append(
            f"no {fastest}: {', '.join(rollout.reads_numbers)} "
            "reads a number of a tensor in Python (item(), float(), if), so nothing can be "
            "compiled; compute with the tensor, choose with torch.where"
        )
    elif rollout.dynamics.members > 1 and on_cpu and not is_one_kernel:
        # Large products of matrices are what takes the time, and no compiler makes them faster.
        backend = "eager"
        reasons.append("the model has members, which run side by side in PyTorch")
    kernel = like.kernel if isinstance(like, CppExecution) else None
    if backend != "eager" and kernel is None:
        change = what_changes(rollout, setup.search.horizon, setup.belief.mean.device)
        if change:
            # torch.compile would compile for seconds whenever a number changes.
            backend = "eager"
            reasons.append(f"no {fastest}: {change}")
    if backend != "eager":
        # Tracing runs the plugin, which may raise anything; and whatever a compiler raises, eager
        # still plans.
        if on_cpu:
            try:
                return CppExecution(setup, "; ".join(reasons), kernel)
            except Exception as error:
                gave_up("no C++ kernel", error)
        elif backend != "compile":
            try:
                return GraphExecution(setup)
            except Exception as error:
                gave_up("no CUDA graph", error)
        try:
            if on_cpu and not has_compiler():
                raise UnsupportedError("it needs the C++ compiler too")
            return TorchCompileExecution(setup, "; ".join(reasons))
        except Exception as error:
            gave_up("torch.compile failed", error)
    return EagerExecution(setup, "; ".join(reasons))
