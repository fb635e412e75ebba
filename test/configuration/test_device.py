# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import device, load_yaml
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share

VALUES = load_yaml(share("config") / "cartpole.yaml")


@dataclass(frozen=True)
class Configured:
    """Stands for a configuration; its planner is its name, or what is raised."""

    values: dict
    device: torch.device
    makes: object = field(default="a planner")

    def planner(self):
        if isinstance(self.makes, Exception):
            raise self.makes
        return self.makes


@pytest.fixture
def with_a_gpu(monkeypatch):
    """Return a function that says what is made, and how long a plan takes, on each device."""

    def have(makes, seconds):
        def configure(values, file="", leftover=()):
            asked = values.get("planner.device", "auto")
            name = "cuda:0" if asked == "auto" else asked
            return Configured({**values, "planner.device": asked}, torch.device(name), makes[name])

        monkeypatch.setattr(device, "configure", configure)
        monkeypatch.setattr(device, "plan_time", seconds.__getitem__)

    return have


@pytest.mark.parametrize(("gpu", "cpu", "fastest"), [(2e-4, 4.3e-4, "cuda:0"), (9e-4, 4e-4, "cpu")])
def test_auto_takes_the_faster_device_and_says_why(with_a_gpu, gpu, cpu, fastest):
    with_a_gpu({"cuda:0": "there", "cpu": "here"}, {"there": gpu, "here": cpu})
    configuration, planner, reason = device.planner_of(VALUES)
    assert str(configuration.device) == fastest
    assert planner == {"cuda:0": "there", "cpu": "here"}[fastest]
    assert configuration.values["planner.device"] == "auto"
    assert reason == f"a plan takes {1e3 * gpu:.2f} ms on cuda:0, {1e3 * cpu:.2f} ms on cpu"


def test_auto_does_without_a_gpu_that_cannot_plan(with_a_gpu):
    full = torch.cuda.OutOfMemoryError("out of memory")
    with_a_gpu({"cuda:0": full, "cpu": "here"}, {"here": 1e-3})
    configuration, planner, reason = device.planner_of(VALUES)
    assert (configuration.device.type, planner) == ("cpu", "here")
    assert "none on cuda:0 (out of memory)" in reason


def test_auto_tells_what_is_wrong_on_every_device(with_a_gpu):
    wrong = ConfigurationError("the model returns text")
    with_a_gpu({"cuda:0": wrong, "cpu": wrong}, {})
    with pytest.raises(ConfigurationError, match="the model returns text"):
        device.planner_of(VALUES)


def test_a_device_that_is_named_is_not_measured(with_a_gpu):
    with_a_gpu({"cuda:0": "there", "cpu": "here"}, {})
    assert device.planner_of({**VALUES, "planner.device": "cpu"})[1:] == ("here", "")
    assert device.planner_of({**VALUES, "planner.device": "cuda:0"})[1:] == ("there", "")


def test_the_time_of_a_plan_is_the_median_after_the_first_ones():
    configuration = device.configure_on("cpu", VALUES)
    assert configuration.values["planner.device"] == "auto"
    planner = configuration.planner()
    # Each plan takes 2 s by this clock, the first one 100 s.
    ticks = iter(np.cumsum([0.0, 100.0] + [0.0, 2.0] * 50))
    took = device.plan_time(planner, lambda: next(ticks))
    assert took == 2.0
