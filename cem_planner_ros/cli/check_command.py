# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Validate a parameter file without ROS."""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
import torch

from cem_planner_ros.configuration import (
    NODE_NAME,
    Configuration,
    configure,
    load_yaml,
    planner_of,
    split_name,
)
from cem_planner_ros.configuration.plan_timing import timed_plans
from cem_planner_ros.configuration.topic_checks import absolute
from cem_planner_ros.errors import ConfigurationError, describe
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

PLANS = 50
PATIENCE = 10.0
"""Number of plans that are timed, and the time after which no more are, s."""

EXECUTIONS = {
    "kernel": "iterations in C++ that was made of the model and the costs",
    "torch.compile": "iterations compiled by PyTorch",
    "cudagraph": "whole plans as one CUDA graph",
    "eager": "PyTorch, operation by operation",
}
"""Meanings of `Execution.name`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the node's name."""
    parser.add_argument(
        "file",
        metavar="FILE.yaml",
        help="ROS parameter file of the planner node; - for the standard input",
    )
    parser.add_argument(
        "--node",
        default=NODE_NAME,
        metavar="[NAMESPACE/]NAME",
        help="the node whose sections of the file count (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the result of the checks; the exit status is 1, with the reason, if one fails."""
    torch.set_num_threads(1)
    file = "/dev/stdin" if options.file == "-" else options.file
    name, namespace = split_name(options.node)
    values = load_yaml(file, name, namespace)
    configuration = configure(values, file)
    print(f"{file}: {len(configuration.values)} parameters, names, types and ranges are right")
    _print_names(configuration)
    began = time.perf_counter()
    configuration, planner, reason = planner_of(values, file)
    _print_execution(configuration, planner, reason, time.perf_counter() - began)
    warnings = _plan(configuration, planner)
    resolve = partial(absolute, node=name, namespace=namespace)
    for warning in warnings + configuration.warnings(resolve):
        print(f"  warning: {warning}")
    return 0


def _print_names(configuration: Configuration) -> None:
    """Print the model, the costs and the topics."""
    value, dynamics = configuration.values, configuration.dynamics
    print(f"  dynamics  {value['dynamics.plugin']}: state {', '.join(dynamics.state_names)}")
    if dynamics.output_names:
        print(f"            outputs {', '.join(dynamics.output_names)}")
    costs = (f"{name} ({value[f'{name}.plugin']})" for name in configuration.costs)
    print(f"  costs     {', '.join(costs)}")
    command = value["command.topic"], value["command.type"], configuration.fields("command")
    topics = [("state", s.topic, s.type, s.fields) for s in configuration.sources]
    for side, topic, kind, named in (*topics, ("command", *command)):
        fields = ", ".join(f"{name} = {field}" for name, field in named.items())
        print(f"  {side:<9} {topic} ({kind}): {fields}")
    for name, source in configuration.reference_sources.items():
        fields = ", ".join(f"{signal} = {field}" for signal, field in source.fields.items())
        print(f"  reference of {name}: {source.topic} ({source.type}): {fields}")


def _print_execution(
    configuration: Configuration, planner: Planner, reason: str, ready: float
) -> None:
    """Print what runs the planner and why; it was ready after so many s."""
    execution = planner.execution
    print(
        f"  execution {execution.name} on {configuration.device}: "
        f"{EXECUTIONS.get(execution.name, execution.name)}; "
        f"ready in {ready:.1f} s"
    )
    if reason:
        print(f"            {configuration.device} is faster: {reason}")
    if execution.reason:
        print(f"            because: {execution.reason}")


def _plan(configuration: Configuration, planner: Planner) -> list[str]:
    """Print costs and times of plans from rest; return warnings."""
    value, dynamics, file = configuration.values, configuration.dynamics, configuration.file
    state = dynamics.rest_state
    start = "rest" if state.any() else "state zero"
    period = 1.0 / value["control_rate"]
    try:
        plan, times, invalid = _plans(planner, period)
    except Exception as error:  # A plugin may raise anything.
        raise ConfigurationError(
            f"planning from {start} failed: {describe(error)}\n  in {file}"
        ) from error
    parts = [*configuration.costs, *(["return of the model"] if dynamics.predicts_return else [])]
    breakdown = zip(parts, planner.breakdown(plan, state), strict=True)
    shares = ", ".join(f"{name} {value:.4g}" for name, value in breakdown)
    if not np.isfinite(plan.cost):
        raise ConfigurationError(
            f"the plan from {start} has no valid candidate: each one's cost is NaN or "
            f"infinite ({shares}); look at the model, the costs and the action bounds\n"
            f"  in {file}"
        )
    print(f"  cost of a plan from {start}: {shares}")
    print(f"  invalid candidates (NaN or infinite cost) from {start}: {percent(invalid)}")
    p50, p99 = np.percentile(times, [50, 99])
    if len(times) < PLANS:
        print(f"  {_timed(len(times), plan, planner)}")
    budget = 1e3 * period * value["budget_fraction"]
    print(
        f"  plan time p50 {p50:.2f} ms, p99 {p99:.2f} ms; the period is {1e3 * period:g} ms, "
        f"{budget:g} ms of it for planning"
    )
    in_batches = planner.search.samples if planner.execution.least_share < 1.0 else 0
    slow = too_slow(planner.search.iterations, p50, budget, in_batches)
    warnings = [slow] if slow else []
    if invalid:
        warnings.append(
            f"{percent(invalid)} of the candidates from {start} have a NaN or infinite cost "
            "and count for nothing: look at the model, the costs and the action bounds"
        )
    return warnings


def _plans(planner: Planner, period: float) -> tuple[Plan, list[float], float]:
    """
    Plan from rest, period by period, for PATIENCE at most.

    Returns: the last plan, or the first one without a valid candidate if there is one; plan times,
    ms; the largest share of invalid candidates of the last iteration of a plan.
    """
    timed = timed_plans(planner, PLANS, PATIENCE, period=period)
    last = next((plan for plan, _ in timed if not np.isfinite(plan.cost)), timed[-1].plan)
    times = [1e3 * seconds for _, seconds in timed]
    return last, times, max(plan.invalid_share for plan, _ in timed)


def _timed(count: int, plan: Plan, planner: Planner) -> str:
    """Return how plans were timed that take long; `plan` is the last one."""
    text = f"plans take long, so only {count} of {PLANS} were timed, in {PATIENCE:g} s"
    done = (plan.iterations - 1 + plan.simulated_share) / planner.search.iterations
    if count == 1 and done < 1.0:
        text += f"; it ended after {percent(done)} of its candidates, and its time is for all"
    return text


def percent(share: float) -> str:
    """Return a share in percent; what is not zero does not become it."""
    return f"{100.0 * share:.3g} %"


def too_slow(iterations: int, plan_time: float, budget: float, in_batches: int = 0) -> str:
    """
    Return what becomes of plans that take longer than their budget, both in ms; else "".

    `in_batches` is the number of candidates of an iteration if it can end at any of them.
    """
    fitting = int(iterations * budget / plan_time)
    lower = "lower planner.samples, planner.horizon or control_rate"
    if fitting >= iterations:
        return ""
    if fitting > 0:
        return f"of {iterations} iterations about {fitting} fit and will be done; {lower}"
    if in_batches:
        simulated = max(1, int(in_batches * iterations * budget / plan_time))
        return (
            f"one iteration takes {plan_time / iterations:.2f} ms, more than the {budget:g} ms for "
            f"planning: about {simulated} of its {in_batches} candidates are simulated for each "
            f"plan; {lower}"
        )
    return (
        f"one iteration takes {plan_time / iterations:.2f} ms, more than the {budget:g} ms for "
        "planning: each plan has one iteration and comes late, and commands are read from the plan "
        f"before it; {lower}"
    )
