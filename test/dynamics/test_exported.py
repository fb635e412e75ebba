# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.exported import Exported
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.planner import Planner

DESCRIPTION = {
    "state_names": ["position", "speed"],
    "action_names": ["force"],
    "action_low": [-1],
    "action_high": [1.0],
    "dt": 0.1,
}


class Network(torch.nn.Module):
    """A point that is pushed, and a small network that disturbs it; samples are last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Parameter(0.1 * torch.randn(8, 3))
        self.second = torch.nn.Parameter(0.1 * torch.randn(2, 8))

    def forward(self, state, action):
        hidden = torch.tanh(self.first @ torch.cat((state, action)))
        push = torch.cat((state[1:], 3.0 * action))
        return state + 0.1 * (push + self.second @ hidden)


def export(network, file):
    example = (torch.zeros(2, 7), torch.zeros(1, 7))
    if file.suffix == ".pt2":
        samples = torch.export.Dim("N", min=1)
        shapes = ({1: samples}, {1: samples})
        torch.export.save(torch.export.export(network, example, dynamic_shapes=shapes), file)
    else:
        torch.jit.trace(network, example).save(str(file))
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    return str(file)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_a_network_from_a_file_is_planned_with_in_a_kernel(tmp_path, suffix):
    network = Network()
    model = Exported({"file": export(network, tmp_path / f"robot{suffix}")})
    assert (model.state_names, model.action_names) == (("position", "speed"), ("force",))
    state, action = torch.randn(2, 3), torch.randn(1, 3)
    with torch.no_grad():
        expected = network(state, action)
        torch.testing.assert_close(model.step(state, action, torch.tensor(0.1)), expected)
        half = model.step(state, action, torch.tensor(0.05))
    torch.testing.assert_close(half, 0.5 * (state + expected))
    cost = Quadratic(model, {"weight": {"position": 1.0, "speed": 0.1}, "target.position": 1.0})
    planner = Planner(model, [cost], samples=128, elites=16, horizon=20, dt=0.1)
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")
    state = np.zeros(2)
    for tick in range(60):
        action = planner.plan(state, 0.1 * tick).action_at(0.1 * tick)
        columns = (torch.tensor(x, dtype=torch.float32)[:, None] for x in (state, action))
        with torch.no_grad():
            state = network(*columns)[:, 0].numpy().astype(float)
    assert abs(state[0] - 1.0) < 0.2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dt": 0.0}, "'dt' is 0.0, allowed: .* at least 1e-06 s"),
        ({"dt": "fast"}, r"file '.*robot\.json': parameter 'dt' is 'fast'"),
        ({"dt": None}, r"file '.*robot\.json': parameter 'dt' is None"),
        ({"action_low": ["a"]}, r"action_low is \['a'\], expected numbers"),
        ({"state_names": "xy"}, "state_names is 'xy', expected strings"),
        ({"colour": "red"}, "holds .*colour.*, expected an object with state_names"),
        ({"state_names": ["x", "x"]}, "all different"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, changes, text):
    file = tmp_path / "robot.pt2"
    export(Network(), file)
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION | changes))
    with pytest.raises(ConfigurationError, match=text):
        Exported({"file": str(file)}).check()


def test_a_description_that_is_no_object_is_refused(tmp_path):
    file = tmp_path / "robot.pt2"
    file.with_suffix(".json").write_text("5")
    file.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"robot\.json' holds 5, expected an object"):
        Exported({"file": str(file)})


class OneRow(torch.nn.Module):
    def forward(self, state, action):
        return state[1:] + 0.1 * action


class OneColumn(torch.nn.Module):
    def forward(self, state, action):
        return torch.full((2, 1), 0.5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("network", "came"), [(OneRow, "(1, 2)"), (OneColumn, "(2, 1)")])
def test_a_network_whose_result_would_be_broadcast_is_refused(tmp_path, network, came):
    file = export(network(), tmp_path / "robot.pt")
    text = f"robot.pt' returns {came} for a state (2, 2) .* expected the next state (2, 2)"
    with pytest.raises(ConfigurationError, match=re.escape(text).replace(r"\.\*", ".*")):
        Exported({"file": file}).check()


def test_a_network_for_one_number_of_samples_is_refused(tmp_path):
    file = tmp_path / "robot.pt2"
    example = (torch.zeros(2, 7), torch.zeros(1, 7))
    torch.export.save(torch.export.export(Network(), example), file)
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    with pytest.raises(ConfigurationError, match=r"robot\.pt2' .*expected that N is free: export"):
        Exported({"file": str(file)}).check()


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"file 'nowhere\.pt2' does not exist"):
        Exported({"file": "nowhere.pt2"})
    with pytest.raises(ConfigurationError, match="file '' does not exist"):
        Exported()
    file = tmp_path / "robot.pt2"
    file.write_text("no archive")
    with pytest.raises(ConfigurationError, match=r"robot\.json.* cannot be read"):
        Exported({"file": str(file)})
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    with pytest.raises(ConfigurationError, match=r"cannot be loaded as a torch\.export program"):
        Exported({"file": str(file)})


class Trojan:
    """What runs code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def declared(content, name, trojan):
    """Say in the archive that a weight is pickled."""
    if name.endswith("weights_config.json"):
        return content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    return trojan if "/weights/weight_" in name else content


def in_the_examples(content, name, trojan):
    return trojan if "/sample_inputs/" in name else content


@pytest.mark.parametrize("change", [declared, in_the_examples])
def test_a_pickle_in_a_program_is_never_opened(tmp_path, change):
    source, file, touched = (tmp_path / name for name in ("robot.pt2", "trojan.pt2", "touched"))
    export(Network(), source)
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    buffer = io.BytesIO()
    torch.save(Trojan(touched), buffer)
    with zipfile.ZipFile(source) as good, zipfile.ZipFile(file, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, change(good.read(name), name, buffer.getvalue()))
    with pytest.raises(ConfigurationError, match=r"unpickling may run any code|cannot be loaded"):
        Exported({"file": str(file)})
    assert not touched.exists()


def write_program(file, network, samples, example=4, kind=torch.float32):
    """Export a program whose number of samples is `samples`, None for the example's."""
    given = torch.zeros(2, example, dtype=kind), torch.zeros(1, example, dtype=kind)
    shapes = None if samples is None else ({1: samples}, {1: samples})
    torch.export.save(torch.export.export(network.eval(), given, dynamic_shapes=shapes), file)
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    return str(file)


def plan_with(model, samples, backend="eager"):
    cost = Quadratic(model, {"weight": {"position": 1.0}})
    return Planner(
        model, [cost], samples=samples, elites=2, horizon=3, dt=0.1, iterations=1, backend=backend
    )


def test_more_samples_than_a_program_was_exported_for_are_refused(tmp_path):
    samples = torch.export.Dim("N", min=2, max=64)
    model = Exported({"file": write_program(tmp_path / "robot.pt2", Network(), samples)})
    model.check()
    plan_with(model, 64).plan(np.zeros(2), 0.0)
    text = r"'planner\.samples' is 65, but the model cannot take so many samples.*64"
    with pytest.raises(ConfigurationError, match=text):
        plan_with(model, 65)


def test_a_program_for_just_the_samples_of_a_plan_is_compiled(tmp_path):
    samples = torch.export.Dim("N", min=1, max=8)
    model = Exported({"file": write_program(tmp_path / "robot.pt2", Network(), samples)})
    planner = plan_with(model, 8, "auto")
    assert (planner.execution.name, planner.execution.reason) == ("kernel", "")


class FourByFour(torch.nn.Module):
    """Adds up what happens in groups of four samples; each sample still has its own result."""

    def forward(self, state, action):
        return state + 0.1 * action.reshape(-1, 4).reshape(1, -1)


@pytest.mark.parametrize(
    ("network", "samples", "example"),
    [
        (Network, torch.export.Dim("N", min=8), 9),
        (FourByFour, 4 * torch.export.Dim("K"), 8),
        (Network, None, 1),
    ],
    ids=["at least 8", "a multiple of 4", "just 1"],
)
def test_a_program_that_does_not_take_every_number_of_samples_is_refused(
    tmp_path, network, samples, example
):
    file = write_program(tmp_path / "robot.pt2", network(), samples, example)
    with pytest.raises(ConfigurationError, match=r"robot\.pt2' .*expected that N is free"):
        Exported({"file": file}).check()


class Mixed(Network):
    """Weights, a buffer and a constant; what type they have is for the test to say."""

    def __init__(self, kind):
        super().__init__()
        self.register_buffer("push", torch.tensor([[0.0], [0.3]]))
        self.to(kind)
        self.offset = torch.tensor([[0.01], [0.0]], dtype=kind)

    def forward(self, state, action):
        return super().forward(state, action) + self.push * action + self.offset


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_the_numbers_of_a_program_of_another_type_are_converted(tmp_path, kind):
    samples = torch.export.Dim("N")
    network = Mixed(kind)
    file = write_program(tmp_path / "robot.pt2", network, samples, kind=kind)
    model = Exported({"file": file})
    model.check()
    state, action = torch.randn(2, 5), torch.randn(1, 5)
    expected = network(state.to(kind), action.to(kind)).float()
    moved = model.step(state, action, torch.tensor(0.1))
    torch.testing.assert_close(
        moved, expected, atol=1e-5 if kind == torch.float64 else 0.05, rtol=0.01
    )
    plan_with(model, 16).plan(np.zeros(2), 0.0)


def save_script(file, network):
    torch.jit.script(network.eval()).save(str(file))
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    return str(file)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.move = torch.nn.Parameter(torch.tensor([[1.0, 0.1], [0.0, 1.0]]))

    def forward(self, state, action):
        return self.move @ state + 0.1 * action


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_weights_of_a_script_are_converted(tmp_path):
    model = Exported({"file": save_script(tmp_path / "robot.pt", Linear().double())})
    model.check()
    moved = model.step(torch.ones(2, 1), torch.ones(1, 1), torch.tensor(0.1))
    torch.testing.assert_close(moved, torch.tensor([[1.2], [1.1]]))


class InDouble(Linear):
    def forward(self, state, action):
        return self.move.double() @ state.double() + action


class OnlyDouble(torch.nn.Module):
    def forward(self, state, action):
        return torch.eye(2, dtype=torch.float64) @ state + action


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("network", "came"),
    [(InDouble, r"returns torch\.float64"), (OnlyDouble, r"takes .* torch\.float64")],
)
@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_file_that_computes_in_float64_is_told_to_use_float32(tmp_path, network, came, suffix):
    file = tmp_path / f"robot{suffix}"
    if suffix == ".pt":
        save_script(file, network())
    else:
        kind = torch.float64 if network is OnlyDouble else torch.float32
        write_program(file, network(), torch.export.Dim("N"), kind=kind)
    with pytest.raises(ConfigurationError, match=rf"{came}.*expected torch\.float32") as raised:
        Exported({"file": str(file)}).check()
    assert "is free" not in str(raised.value)
