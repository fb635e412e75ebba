# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest

from cem_planner_ros import cli
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.ladder import FALLBACK, FRESH, STOPPED
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.ensemble import Ensemble
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning import policy_search
from cem_planner_ros.paths import share
from cem_planner_ros.policies.candidates import PolicyCandidates
from cem_planner_ros.policies.linear_policy import LinearPolicy, MatchedPolicy, load
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

STATES = ("x", "x_dot", "theta", "theta_dot")


def search_policy(*arguments):
    return cli.main(["search-policy", *map(str, arguments)])


def test_a_search_reaches_200_steps_and_writes_what_it_found(tmp_path, capsys):
    out, picture = tmp_path / "policy.yaml", tmp_path / "returns.png"
    status = search_policy("--env", "CartPole-v1", "--notebook", "--out", out, "--plot", picture)
    output = capsys.readouterr().out
    assert status == 0
    assert output.count("iteration") == 20
    assert "best    200.0" in output
    assert picture.stat().st_size > 1000
    policy = load(out)
    assert policy.states == STATES
    # A pole that falls to one side is pushed from that side.
    assert [policy.act(np.array([0.0, 0.0, a, 4 * a]))[0] for a in (-0.1, 0.1)] == [-10.0, 10.0]


def test_actions_of_a_range_are_searched_too(tmp_path):
    out = tmp_path / "policy.yaml"
    few = ("--candidates", 3, "--iterations", 1, "--episodes", 1, "--max-steps", 5)
    assert search_policy("--env", "Pendulum-v1", "--out", out, *few) == 0
    assert load(out).levels is None


def test_states_and_actions_can_be_called_what_a_model_calls_them(tmp_path):
    out = tmp_path / "policy.yaml"
    few = ("--candidates", 3, "--iterations", 1, "--episodes", 1, "--max-steps", 5)
    names = ("--states", "cos", "sin", "theta_dot", "--actions", "torque")
    assert search_policy("--env", "Pendulum-v1", "--out", out, *few, *names) == 0
    policy = load(out)
    assert policy.states == ("cos", "sin", "theta_dot")
    assert policy.actions == ("torque",)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--env", "NoSuchThing-v1"], "NoSuchThing"),
        (["--env", "CartPole-v1", "--candidates", "0"], "--candidates is 0, allowed: from 1"),
        (["--env", "CartPole-v1", "--elite-share", "2"], "--elite-share is 2"),
        (["--env", "CartPole-v1", "--out", "nowhere/p.yaml"], "there is no folder nowhere"),
        (["--env", "CartPole-v1", "--plot", "p.foo"], "--plot p.foo, allowed: a name that ends"),
        (["--env", "CartPole-v1", "--states", "x", "v"], "--states has 2 names, expected 4"),
        (["--env", "Pendulum-v1", "--actions", "a", "b"], "--actions has 2 names, expected 1"),
        (["--env", "CartPole-v1", "--states", "x", "v", "x", "w"], "'x' twice"),
    ],
)
def test_what_cannot_be_searched_is_explained_at_once(arguments, text, capsys, monkeypatch):
    monkeypatch.setattr(policy_search, "_episode", None)  # No episode is run before.
    assert search_policy(*arguments) == 1
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error


@pytest.fixture
def registered():
    """A function that registers an environment with some actions, and returns its name."""
    gymnasium = pytest.importorskip("gymnasium")
    made = []

    class Environment(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

        def __init__(self, actions):
            self.action_space = actions

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {}

        def step(self, action):
            assert self.action_space.contains(action)
            return np.zeros(2, np.float32), 1.0, True, False, {}

    def register(actions):
        made.append(f"Made{len(made)}-v0")
        gymnasium.register(made[-1], lambda: Environment(actions))
        return made[-1]

    yield register
    for name in made:
        del gymnasium.registry[name]


def test_choices_may_begin_with_another_number_than_zero(registered):
    spaces = pytest.importorskip("gymnasium.spaces")
    few = policy_search.PolicySearchSettings(candidates=3, iterations=1)
    found = policy_search.search(registered(spaces.Discrete(2, start=-1)), few)
    assert found.policy.levels.tolist() == [[-1.0], [0.0]]


@pytest.mark.parametrize("kind", ["MultiDiscrete", "MultiBinary"])
def test_actions_of_several_choices_are_refused(registered, kind):
    spaces = pytest.importorskip("gymnasium.spaces")
    with pytest.raises(ConfigurationError, match=r"actions are Multi.*, allowed: choices"):
        policy_search.search(
            registered(getattr(spaces, kind)([2, 3])), policy_search.PolicySearchSettings()
        )


def test_without_gymnasium_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert search_policy("--env", "CartPole-v1") == 1
    assert "pip install gymnasium" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        *("", "states: [x]", "{states: [x], actions: [u], mean: [[1.0]], std: [[1.0]]}", "a: ["),
        "{states: [x], actions: [u], mean: [[1], [1]], std: [[1], [-1]]}",
        "{states: [x], actions: [u], mean: [[1], [1]], std: [[1], [1]], levels: [[.nan]]}",
        "{states: [x, x], actions: [u], mean: [[1], [1], [1]], std: [[1], [1], [1]]}",
    ],
)
def test_a_file_that_holds_no_policy_is_refused(tmp_path, text):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"policy.yaml"):
        load(file)


def pushing(std=0.0):
    """A policy that pushes the cart with minus its position, in N."""
    mean = np.array([[-1.0], [0.0], [0.0], [0.0], [0.0]])
    return LinearPolicy(STATES, ("force",), mean, np.full((5, 1), std))


def test_proposals_drive_the_model():
    model = CartPole()
    proposals = PolicyCandidates(MatchedPolicy(pushing(std=0.1), model, [-10.0], [10.0]), model, 3)
    edges = np.array([0.0, 0.02, 0.07, 0.12])
    sequences = proposals(np.array([2.0, 1.0, 0.0, 0.0]), edges)
    assert sequences.shape == (3, 3, 1)
    np.testing.assert_allclose(sequences[0, 0], -2.0, rtol=1e-6)
    # The cart has moved on by then, to 2 + 0.02 m.
    np.testing.assert_allclose(sequences[0, 1], -2.02, atol=1e-3)
    assert np.ptp(sequences[:, 0]) > 0.0
    sequences = proposals(np.array([200.0, 0.0, 0.0, 0.0]), edges)
    assert (sequences == -10.0).all()


def test_the_node_takes_the_candidates_of_a_policy(tmp_path):
    file = tmp_path / "policy.yaml"
    pushing().save(file)
    values = load_yaml(share("config") / "cartpole.yaml") | {
        "planner.device": "cpu",
        "planner.backend": "eager",
        "policy.file": str(file),
        "policy.candidates": 1,
        # What is drawn hardly differs, so that the policy is what is left to choose.
        "planner.std_initial": 1e-6,
        "planner.std_min": 1e-6,
        "planner.iterations": 1,
        "planner.execute": "best",
        "planner.samples": 64,
        "planner.elites": 4,
        "running.weight.x": 100.0,
        "running.weight.theta": 0.0,
        "terminal.weight.theta": 0.0,
        "terminal.weight.theta_dot": 0.0,
        "running.weight.theta_dot": 0.0,
    }
    plan = configure(values).planner().plan(np.array([2.0, 0.0, 0.0, 0.0]), 0.0)
    np.testing.assert_allclose(plan.actions[0], -2.0, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"policy.candidates": 2}, "'policy.file' is missing"),
        ({"fallback": "policy"}, "'policy.file' is missing"),
        ({"policy.candidates": 2, "policy.file": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_candidates_without_a_policy_are_refused(changes, text):
    values = load_yaml(share("config") / "cartpole.yaml") | {"planner.device": "cpu"}
    with pytest.raises(ConfigurationError, match=text):
        configure(values | changes)


def test_a_policy_for_another_model_is_refused(tmp_path):
    file = tmp_path / "policy.yaml"
    pushing().save(file)
    values = load_yaml(share("config") / "pendulum.yaml") | {"planner.device": "cpu"}
    with pytest.raises(ConfigurationError, match="the policy's states are x, x_dot"):
        configure(values | {"policy.file": str(file), "policy.candidates": 1})


def driven_by(policy, tmp_path, **changes):
    """The configuration of the cart-pole with a policy."""
    file = tmp_path / "policy.yaml"
    policy.save(file)
    values = load_yaml(share("config") / "cartpole.yaml") | {
        "planner.device": "cpu",
        "planner.samples": 64,
        "planner.elites": 8,
        "policy.file": str(file),
    }
    return configure(values | {name.replace("__", "."): value for name, value in changes.items()})


def test_a_policy_can_take_over_where_there_is_no_plan(tmp_path):
    configuration = driven_by(
        pushing(), tmp_path, fallback="policy", hold_time=1.0, max_plan_age=0.0
    )
    plant = ModelPlant(configuration, np.array([0.5, 0.0, 0.0, 0.0]))
    run = Lockstep(configuration, configuration.planner(), plant.state, plant.step)
    while run.period().status != FRESH:
        pass
    run.failure = RuntimeError("no plan")
    for _ in range(10):
        state = plant.state()
        tick = run.period()
        assert tick.status == FALLBACK
        np.testing.assert_allclose(tick.action, -state[:1], atol=1e-6)
    # What it does, it does within limits, and not for ever.
    statuses = [run.period().status for _ in range(50)]
    assert statuses[-1] == STOPPED


def test_without_a_young_state_the_policy_lets_the_plant_be_braked(tmp_path):
    configuration = driven_by(
        pushing(), tmp_path, fallback="policy", hold_time=1.0, max_plan_age=0.0
    )
    plant = ModelPlant(configuration, np.array([0.5, 0.0, 0.0, 0.0]))
    measured = [plant.state]
    run = Lockstep(configuration, configuration.planner(), lambda: measured[0](), plant.step)
    while run.period().status != FRESH:
        pass
    measured.clear()  # Reading the state fails from now on.
    for _ in range(5):
        run.period()
    before = run.loop.commander.last_action[0]
    assert before != 0.0
    run.loop.commander.state = StateSample(np.ones(4), run.time - 10.0)
    actions = [run.period().action[0] for _ in range(20)]
    assert abs(actions[-1]) < 0.6 * abs(before)
    assert (np.diff(np.abs(actions)) <= 1e-9).all()


@pytest.mark.parametrize("std", [0.0, 0.3])
def test_compiled_candidates_are_those_of_pytorch(tmp_path, std):
    levels = np.array([[-10.0], [10.0], [3.0]])
    random = np.random.default_rng(0)
    policy = LinearPolicy(
        STATES, ("force",), random.normal(size=(5, 3)), np.full((5, 3), std), levels
    )
    model = CartPole()
    matched = MatchedPolicy(policy, model, [-8.0], [8.0])
    compiled = PolicyCandidates(matched, model, 4)
    eager = PolicyCandidates(matched, model, 4, compiled=False)
    assert compiled.is_compiled
    assert not eager.is_compiled
    edges = np.array([0.0, 0.03, 0.08, 0.13, 0.18, 0.23])
    for _ in range(10):
        state = random.normal(size=4)
        np.testing.assert_array_equal(compiled(state, edges), eager(state, edges))


def test_a_policy_drives_what_the_members_of_an_ensemble_make_of_it_on_average(ensemble_file):
    model = Ensemble({"file": str(ensemble_file([[0.5, 0.0], [1.5, 0.0]]))})
    mean = np.array([[-1.0], [0.0], [0.0]])
    policy = LinearPolicy(("theta", "theta_dot"), ("torque",), mean, np.zeros((3, 1)))
    proposals = PolicyCandidates(MatchedPolicy(policy, model, [-3.0], [3.0]), model, 3)
    sequences = proposals(np.zeros(2), np.array([0.0, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(sequences[:, :, 0], [[0.0, -1.0, -2.0]] * 3, atol=1e-5)
