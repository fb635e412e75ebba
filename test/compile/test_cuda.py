"""The CUDA kernel, as C++ where there is no GPU; the search on a GPU where there is one."""

import ctypes
import itertools
import math
import subprocess

import numpy as np
import pytest
import torch

from cem_planner_ros.compile import cuda
from cem_planner_ros.compile.cuda import THREADS, CudaRollout
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.navigation.surroundings import Costmap, Pose, ReferencePath, Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.planning import search
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Limits

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

AS_CPP = """
#include <math.h>
#define __global__
#define __device__
struct Index { int x; };
static Index blockIdx, threadIdx, blockDim;
%s
template <class... Parameters>
void each(void (*kernel)(Parameters...), int blocks, int threads, Parameters... arguments) {
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel(arguments...);
}
"""

LAUNCHES = {
    "rollout": """
extern "C" void launch(int blocks, int threads, const float* start, const float* before,
        const float* lag, const float* applied, const float* durations, const float* sequence,
        const float* const* numbers, float* costs, float* states, int keeps_states, int horizon,
        int samples) {
    each(rollout, blocks, threads, start, before, lag, applied, durations, sequence, numbers, costs,
         states, keeps_states, horizon, samples);
}
""",
    "limit_rate": """
extern "C" void launch(int blocks, int threads, const float* knots, const float* before,
        const float* first, const float* step, const float* low, const float* high, float* limited,
        int count, int actions, int samples) {
    each(limit_rate, blocks, threads, knots, before, first, step, low, high, limited, count,
         actions, samples);
}
""",
}


@pytest.fixture
def nvrtc_as_cpp(monkeypatch, tmp_path):
    """Let a C++ compiler stand in for NVRTC, and a loop for the GPU."""

    def compile_kernel(source, name):
        code, library = (tmp_path / f"{name}{suffix}" for suffix in (".cpp", ".so"))
        code.write_text(AS_CPP % source + LAUNCHES[name])
        subprocess.run(["g++", "-shared", "-fPIC", "-o", library, code], check=True)
        library = ctypes.CDLL(str(library))

        def launch(grid, block, args):
            values = [
                ctypes.c_void_p(arg.data_ptr()) if isinstance(arg, torch.Tensor) else arg
                for arg in args
            ]
            library.launch(grid[0], block[0], *values)

        return launch

    monkeypatch.setattr(torch.cuda, "_compile_kernel", compile_kernel, raising=False)


@pytest.mark.parametrize(
    ("model", "in_registers"),
    [
        ("cartpole", 999),
        ("cartpole", 1),
        ("diff_drive", 1),
        ("quadrotor", 999),
        ("single_track", 1),
    ],
)
def test_the_kernel_agrees_with_pytorch(nvrtc_as_cpp, model, in_registers, monkeypatch):
    monkeypatch.setattr(cuda, "IN_REGISTERS", in_registers)
    configuration = configure(
        {
            "planner.device": "cpu",
            "dynamics.plugin": model,
            "costs": ["running"],
            "state.type": "std_msgs/msg/Float64MultiArray",
        }
    )
    cost = configuration.costs["running"]
    for name in cost.numbers:
        cost.set(name, 0.7)
    rollout = Rollout(configuration.dynamics, [cost], 0.05)
    kernel = CudaRollout(rollout, torch.device("cpu"))
    nx, nu = len(configuration.dynamics.state_names), len(configuration.dynamics.action_names)
    for samples in (1, THREADS, 3 * THREADS + 5):
        given = (torch.randn(nx), torch.randn(9, nu, samples), torch.randn(nu), torch.rand(9) * 0.1)
        given += (Actuators(0.1 * torch.arange(nu), torch.randn(nu)),)
        torch.testing.assert_close(kernel(*given), rollout(*given), rtol=1e-3, atol=1e-3)
    configuration.dynamics.set(configuration.dynamics.numbers[0], 1.3) if (
        configuration.dynamics.numbers
    ) else cost.set(cost.numbers[0], 1.3)
    torch.testing.assert_close(kernel(*given), rollout(*given), rtol=1e-3, atol=1e-3)
    actions, durations = np.random.default_rng(0).normal(size=(9, nu, 5)), np.full(9, 0.05)
    durations[1:3] = 0.0, -0.01  # The way from a state to the present can be of no time.
    for some in (actions, actions[..., 0], actions[:1, :, 0]):
        ways = (np.ones(nx), some, durations[: len(some)])
        np.testing.assert_allclose(kernel.predict(*ways), rollout.predict(*ways), 1e-3, 1e-3)


@pytest.mark.parametrize("rate", [0.3, math.inf])
def test_the_limits_of_rate_are_those_of_pytorch(nvrtc_as_cpp, rate):
    nu, samples = 3, 2 * THREADS + 7
    steps = (torch.tensor([rate, 0.1, math.inf]), torch.tensor([0.2, rate, math.inf]))
    bounds = {"low": torch.tensor([-1.0, -9.0, 0.2]), "high": torch.tensor([0.5, 9.0, 0.8])}
    limits = Limits(*torch.zeros(6, nu))._replace(first=steps[0], step=steps[1], **bounds)
    knots = torch.randn(9, nu, 2, samples)
    given = (knots, torch.randn(nu), limits)
    got = cuda.rate_limiter()(*given)
    torch.testing.assert_close(got, search.limit_rate(*given))
    low, high = (bounds[side][:, None, None] for side in ("low", "high"))
    assert ((low <= got) & (got <= high)).all()


def test_without_nvrtc_the_reason_is_named(cartpole):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    model, costs = cartpole
    with pytest.raises(UnsupportedError, match="NVRTC"):
        CudaRollout(Rollout(model, costs, 0.05), torch.device("cpu"))


def test_a_cuda_graph_on_the_cpu_is_the_kernel_with_a_reason(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, backend="cudagraph", samples=64, elites=8)
    assert planner.execution.name == "kernel"
    assert planner.execution.reason == "no CUDA graph: the device is a CPU"


@needs_gpu
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"modes": 2, "decay": 1.3},
        {"knot_spacing": 4, "order": 3},
        {"weighting": "softmax", "temperature": 5.0, "control_cost": 0.25},
        {"rate": [20.0], "low": [-3.0], "high": [4.0], "momentum": 0.3},
    ],
)
def test_a_captured_search_plans_as_the_eager_one(options):
    plans = []
    for backend in ("cudagraph", "eager", "cudagraph"):
        model, costs = swing_up("cuda")
        planner = Planner(
            model, costs, samples=512, elites=32, backend=backend, device="cuda", **options
        )
        assert planner.execution.name == backend
        assert planner.execution.reason == ""
        plans.append([planner.plan(np.ones(4), 0.02 * k).actions for k in range(5)])
    np.testing.assert_array_equal(plans[0], plans[2])
    # The same noise and other roundings, which may exchange elites of nearly equal cost.
    np.testing.assert_allclose(plans[0][0], plans[1][0], atol=0.5)


@needs_gpu
def test_numbers_tuned_later_count_in_a_captured_search():
    model, costs = swing_up("cuda")
    planner = Planner(model, costs, samples=512, elites=32, device="cuda")
    before = planner.plan(np.ones(4), 0.0).actions
    planner.reset()
    model.set("gravity", 1.0)
    assert not np.array_equal(planner.plan(np.ones(4), 0.0).actions, before)


PATH = ReferencePath.through(np.array([[0.0, 0.0], [5.0, 0.0]]))
BOX = np.zeros((200, 200), np.int8)
BOX[95:110, 115:125] = 100
SURROUNDINGS = (
    Surroundings(Pose(5.0, 0.0, 0.0), PATH),
    Surroundings(Pose(1.0, 1.0, 0.5), PATH, Costmap(BOX, 0.025, Pose(-2.5, -2.5, 0.0), 0.0)),
    Surroundings(goal=Pose(-1.0, 0.0, 0.0)),
)


@needs_gpu
def test_a_captured_search_sees_the_surroundings_of_each_plan_and_keeps_the_rates():
    changes = {"planner.device": "cuda", "action.rate.v": 0.5}
    planner = configure(load_yaml(share("config") / "drive.yaml") | changes).planner()
    assert (planner.execution.name, planner.execution.reason) == ("cudagraph", "")
    seen = []
    for known in SURROUNDINGS:
        planner.reset()
        plan = planner.plan(np.full(5, 0.1), 0.0, np.zeros(2), surroundings=known)
        given = planner._problem
        knots = planner.execution.candidates
        assert (knots.diff(dim=0)[:, 0].abs() <= 0.5 * planner.search.dt + 1e-5).all()
        expected = planner.rollout(
            *(given.state, knots, given.previous_action, given.durations, given.actuators)
        )
        got = planner._cost.flatten()
        # A state at the edge of a cell may be taken for its neighbour.
        assert torch.isclose(got, expected, rtol=1e-3, atol=1e-3).float().mean() > 0.98
        seen.append(got.sort().values)
        ways = (np.full(5, 0.1), plan.actions, np.diff(plan.edges))
        expected = planner.rollout.predict(*ways, "cuda")
        np.testing.assert_allclose(planner.execution.trajectory(*ways), expected, 1e-3, 1e-3)
    for one, other in itertools.combinations(seen, 2):
        assert not torch.allclose(one, other, rtol=0.01)


def swing_up(device):
    from cem_planner_ros.costs.quadratic import Quadratic

    model = CartPole(device=device)
    return model, [Quadratic(model, {"weight": {"x": 1.0, "theta": 5.0}}, device=device)]
