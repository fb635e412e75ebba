# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""All that runs on a GPU, compiled for those that robots have: this needs no GPU."""

import ctypes
import re
from importlib.metadata import entry_points

import pytest
import torch

from cem_planner_ros.compile import nvrtc
from cem_planner_ros.compile.cuda import CudaRollout, search_text
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.costs.actions import ActionRate, Effort
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.goal import Goal
from cem_planner_ros.costs.motion import VelocityTracking
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.paths import share
from cem_planner_ros.planning.rollout import Rollout

CAPABILITIES = {"Orin": (8, 7), "Ada": (8, 9), "Hopper": (9, 0)}

FROM_FILES = {"exported", "mujoco", "mujoco_warp", "ensemble", "latent", "serial_arm"}
"""Models that are made of a file."""


@pytest.fixture(scope="module", autouse=True)
def compiler():
    try:
        nvrtc.compiled("", (9, 0))
    except UnsupportedError as error:
        pytest.skip(f"{error}")


class Written(Exception):  # noqa: N818
    """Ends the making of a rollout as soon as there is its text."""


class Reader:
    """In place of a GPU: keeps the text that it should compile."""

    device = torch.device("cpu")

    def module(self, text):
        self.text = text
        raise Written


def text_of(rollout):
    reader = Reader()
    with pytest.raises(Written):
        CudaRollout(rollout, reader)
    return reader.text


def texts():
    """Return the text for every model of this package, and for every cost."""
    found = {}
    for point in entry_points(group="cem_planner_ros.dynamics"):
        if point.name not in FROM_FILES:
            model = point.load()()
            found[point.name] = text_of(Rollout(model, [Quadratic(model)], 0.05))
    model = DiffDrive()
    kinds = (ActionRate, Effort, Barrier, Goal, VelocityTracking, Quadratic, Terminal)
    found["costs of any plant"] = text_of(Rollout(model, [kind(model) for kind in kinds], 0.05))
    driving = configure(load_yaml(share("config") / "drive.yaml") | {"planner.device": "cpu"})
    costs = list(driving.costs.values())
    found["costs of driving"] = text_of(Rollout(driving.dynamics, costs, 0.05))
    return found


@pytest.fixture(scope="module")
def all_texts():
    return texts() | {"the search": search_text(2)}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", CAPABILITIES)
def test_every_model_and_cost_compiles(name, all_texts):
    for text in all_texts.values():
        cubin = nvrtc.compiled(text, CAPABILITIES[name])
        assert cubin[:4] == b"\x7fELF"


def test_maps_are_read_through_the_read_only_cache(all_texts):
    text = all_texts["costs of driving"]
    ptx = nvrtc.compiled(text, (99, 0)).decode()
    ptx = ptx[ptx.index(".entry roll_out") :]
    loads = re.findall(r"ld\.global[\w.]*", ptx)
    cached = [load for load in loads if ".nc." in load]
    lookups = len(re.findall(r"\btable\d+\[", text))
    assert lookups >= 14  # The discs of the footprint, each in the distance field.
    assert len(cached) >= lookups
    # What a candidate begins with, once: its state, command, what is applied, and lags.
    assert len(loads) - len(cached) <= 5 + 3 * 2
    assert "ld.local" not in ptx


def test_what_was_compiled_is_kept_and_what_was_cut_short_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = 'extern "C" __global__ void nothing() {}'
    first = nvrtc.compiled(text, (8, 7))
    (file,) = tmp_path.rglob("*.cubin")
    file.write_bytes(first[:100])
    assert nvrtc.compiled(text, (8, 7)) == first
    written = file.stat().st_mtime_ns
    assert nvrtc.compiled(text, (8, 7)) == first
    assert file.stat().st_mtime_ns == written
    assert nvrtc.compiled(text, (9, 0)) != first


def test_a_gpu_newer_than_the_compiler_gets_ptx():
    ptx = nvrtc.compiled('extern "C" __global__ void nothing() {}', (99, 0))
    assert b".entry nothing" in ptx


def test_what_does_not_compile_is_refused_with_the_reason():
    with pytest.raises(UnsupportedError, match=r"NVRTC.*undeclared|NVRTC.*undefined"):
        nvrtc.compiled('extern "C" __global__ void wrong() { missing(); }', (9, 0))


def test_without_nvrtc_the_reason_says_what_to_install(monkeypatch):
    nvrtc.compiled("", (9, 0))

    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    nvrtc.library.cache_clear()
    with pytest.raises(UnsupportedError, match="install nvidia-cuda-nvrtc"):
        nvrtc.compiled("", (9, 0))
    nvrtc.library.cache_clear()
