# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from idleness import Idleness

from cem_planner_ros import cli
from cem_planner_ros.benchmarks import (
    bench_drive,
    bench_dynamics,
    bench_loop,
    bench_plan,
    machine,
    tasks,
)
from cem_planner_ros.benchmarks.reference import PlainCEM
from cem_planner_ros.cli import check_command
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins import loading
from cem_planner_ros.ros import node_processes

CONFIG = Path(__file__).parents[2] / "config"


def test_check_says_what_a_file_makes(capsys):
    assert cli.main(["check", str(CONFIG / "cartpole.yaml")]) == 0
    output = capsys.readouterr().out
    assert "theta = position[hinge]" in output
    assert "plan time p50" in output
    assert "the period is 20 ms" in output
    assert "execution kernel on cpu: iterations in C++" in output
    assert re.search(
        r"cost of a plan from state zero: running [\d.e+-]+, terminal [\d.e+-]+\n", output
    )


def test_check_refuses_with_the_reason(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text((CONFIG / "cartpole.yaml").read_text().replace("elites: 64", "elites: 6400"))
    assert cli.main(["check", str(file)]) == 1
    error = capsys.readouterr().err
    assert "planner.elites" in error
    assert "mine.yaml" in error
    assert "Traceback" not in error


def test_check_reads_the_standard_input(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text((CONFIG / "cartpole.yaml").read_text().replace("elites: 64", "elites: 6400"))
    before = os.dup(0)
    try:
        with file.open("rb") as piped:
            os.dup2(piped.fileno(), 0)
        assert cli.main(["check", "-"]) == 1
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert "'planner.elites' is 6400" in capsys.readouterr().err


def test_check_warns_of_a_plan_that_does_not_fit(tmp_path, capsys):
    file = tmp_path / "slow.yaml"
    text = (CONFIG / "cartpole.yaml").read_text()
    file.write_text(text.replace("control_rate: 50.0", "control_rate: 2000.0"))
    assert cli.main(["check", str(file)]) == 0
    output = capsys.readouterr().out
    assert re.search("warning: (of .* fit and will be done|one iteration takes .* late)", output)


def test_an_iteration_that_does_not_fit_is_no_promise():
    assert check_command.too_slow(5, 9.0, 10.0) == ""
    assert check_command.too_slow(5, 20.0, 10.0).startswith(
        "of 5 iterations about 2 fit and will be done"
    )
    text = check_command.too_slow(5, 100.0, 10.0)
    assert text.startswith("one iteration takes 20.00 ms, more than the 10 ms for planning")
    assert "each plan has one iteration and comes late" in text
    text = check_command.too_slow(2, 100.0, 10.0, 32)
    assert "about 6 of its 32 candidates are simulated for each plan" in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"randomisation.samples": 3}, "samples is 3, but every randomisation.spread is 0"),
        ({"randomisation.spread.pole_mass": 0.2}, "spread.pole_mass is 0.2, but .*samples is 1"),
        (
            {
                "randomisation.samples": 3,
                "randomisation.spread.gravity": 0.2,
                "dynamics.gravity": 0.0,
            },
            "spread.gravity is 0.2, but dynamics.gravity is 0",
        ),
        ({"planner.risk": "cvar"}, "planner.risk is cvar, but the model is one"),
        (
            {"costs": ["running", "terminal", "there"], "there.plugin": "goal"},
            "the cost 'there' is 0 in ",
        ),
        (
            {
                "costs": ["running", "terminal", "rail"],
                "rail.plugin": "barrier",
                "rail.weight.x": 1.0,
                "rail.low.x": 2.0,
                "rail.high.x": 1.0,
            },
            "rail.low.x is 2.0, above rail.high.x, which is 1.0",
        ),
    ],
)
def test_what_does_nothing_is_a_warning(changes, text):
    values = load_yaml(CONFIG / "cartpole.yaml") | {"planner.device": "cpu"}
    assert configure(values).warnings() == []
    assert re.search(text, "\n".join(configure(values | changes).warnings()))


def test_check_prints_warnings(capsys, write_yaml, drive):
    assert cli.main(["check", str(write_yaml(drive | {"planner.risk": "worst"}))]) == 0
    assert "  warning: planner.risk is worst, but the model is one" in capsys.readouterr().out


BROKEN = """
import torch
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.parameter import Parameter
class Base(Dynamics):
    state_names, action_names, action_units = ("x", "x_dot"), ("u",), ("",)
    action_low, action_high = (-1.0,), (1.0,)
    def step(self, state, action, dt):
        return state + dt * action
class Unborn(Base):
    def __init__(self, values=None, *, device="cpu"):
        self.gain = 1.0
class Shadow(Base):
    parameters = (Parameter("rollout", 1.0, "Any."),)
class Flat(Cost):
    def stage(self, state, action, previous_action, time):
        return state
"""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dynamics.plugin": "broken_ones:Unborn"}, "Unborn.__init__ does not call super"),
        ({"dynamics.plugin": "broken_ones:Shadow"}, "'rollout', but 'rollout' is something else"),
        (
            {"costs": ["good", "bad"], "bad.plugin": "broken_ones:Flat"},
            r"Flat\.stage of 'bad' returned .*\n  in .*planner.yaml",
        ),
    ],
)
def test_check_says_what_is_wrong_with_a_plugin(
    changes, text, capsys, write_yaml, drive, tmp_path, monkeypatch
):
    (tmp_path / "broken_ones.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    values = {"dynamics.plugin": "broken_ones:Base", "costs": ["good"], "state.topic": "state"}
    values |= {"state.type": drive["state.type"], "command.topic": "command"}
    assert cli.main(["check", str(write_yaml(values | changes))]) == 1
    assert re.search(text, capsys.readouterr().err)


PICKY = """
import torch
from cem_planner_ros.costs.base import Cost
class Half(Cost):
    def stage(self, state, action, previous_action, time):
        return torch.where(action[0] > 0.0, torch.nan, state[0] ** 2)
class Late(Half):
    def prepare(self, state, time, surroundings):
        raise KeyError("map")
class Unmade(Half):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.file = open("/nowhere")
"""


def check_picky(name, write_yaml, drive, tmp_path, monkeypatch):
    (tmp_path / "picky_costs.py").write_text(PICKY)
    monkeypatch.syspath_prepend(tmp_path)
    values = {n: v for n, v in drive.items() if not n.startswith("goal.")}
    return cli.main(["check", str(write_yaml(values | {"goal.plugin": f"picky_costs:{name}"}))])


def test_check_tells_the_share_of_invalid_candidates(
    capsys, write_yaml, drive, tmp_path, monkeypatch
):
    assert check_picky("Half", write_yaml, drive, tmp_path, monkeypatch) == 0
    output = capsys.readouterr().out
    told = re.search(r"invalid candidates \(NaN or infinite cost\) from state zero: (.*) %", output)
    assert 0.0 < float(told[1]) <= 100.0
    assert f"warning: {told[1]} % of the candidates from state zero have a NaN" in output
    assert cli.main(["check", str(write_yaml(drive))]) == 0
    output = capsys.readouterr().out
    assert "invalid candidates (NaN or infinite cost) from state zero: 0 %" in output
    assert "% of the candidates" not in output


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Late", "planning from state zero failed: KeyError: 'map', in .*/picky_costs.py:9"),
        ("Unmade", "cannot be made: FileNotFoundError: .*, in .*/picky_costs.py:13"),
    ],
)
def test_check_names_file_and_line_of_a_plugin_that_raises(
    name, text, capsys, write_yaml, drive, tmp_path, monkeypatch
):
    assert check_picky(name, write_yaml, drive, tmp_path, monkeypatch) == 1
    assert re.search(text, capsys.readouterr().err)


@pytest.mark.parametrize(("rate", "is_warned"), [(4.0, True), (4.9, True), (5.0, False)])
def test_a_command_that_is_held_for_more_than_two_model_steps_is_warned_of(drive, rate, is_warned):
    values = drive | {"planner.dt": 0.1, "control_rate": rate}
    found = [w for w in configure(values).warnings() if "control_rate" in w and "planner.dt" in w]
    assert len(found) == is_warned


def test_check_refuses_a_model_that_returns_nan(tmp_path, capsys, monkeypatch):
    (tmp_path / "nan_cost.py").write_text(
        "from cem_planner_ros.costs.base import Cost\n"
        "class Nan(Cost):\n"
        "    def stage(self, state, action, previous_action, time):\n"
        "        return state[0] * float('nan')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "nan.yaml"
    text = (CONFIG / "cartpole.yaml").read_text()
    text = (
        text.replace("[running, terminal]", "[running, terminal, broken]")
        + "    broken: {plugin: 'nan_cost:Nan'}\n"
    )
    file.write_text(text)
    assert cli.main(["check", str(file)]) == 1
    refused = capsys.readouterr().err
    assert "NaN" in refused
    assert "broken nan" in refused


def test_plugins_lists_what_is_installed_with_parameters_and_units(capsys):
    assert cli.main(["plugins"]) == 0
    output = capsys.readouterr().out
    assert (
        "cart_mass = 1.0: Mass of the cart. (a finite number of at least 0.001 kg; live)" in output
    )
    assert "states: those of its file" in output
    assert "yaw_rate [-1.9, 1.9] rad/s" in output
    assert "weight.STATE" in output
    assert "from cem_planner_ros" in output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("plugin", "did you mean 'plugins'?"),
        ("demo --scenario drive", "did you mean 'diff_drive'?"),
        ("init --urdf robot.urdf --task hovver", "did you mean 'hover'?"),
        ("bench plans", "did you mean 'plan'?"),
        ("bench quality --sead 1", "bench quality: error: unrecognized arguments: --sead 1, did"),
        ("demo --sead=1", "did you mean '--seed'?"),
        ("plugins cartpole", "plugins: error: unrecognized arguments: cartpole\n"),
    ],
)
def test_a_wrong_word_is_refused_with_the_one_that_was_meant(capsys, words, text):
    with pytest.raises(SystemExit) as end:
        cli.main(words.split())
    assert end.value.code == 2
    assert text in capsys.readouterr().err


def test_gpu_is_not_taken_for_cpu_which_is_spelled_like_it(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "plan", "--device", "gpu"])
    said = capsys.readouterr().err
    assert "cuda" in said
    assert "did you mean" not in said


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert all(command in output for command in cli.COMMANDS)


@pytest.fixture
def briefly(monkeypatch):
    """Let benchmarks measure for less time than anybody would."""
    interleaved = machine.interleaved
    monkeypatch.setattr(
        machine, "interleaved", lambda functions, rounds, seconds: interleaved(functions, 2, 0.1)
    )


def test_bench_writes_what_it_measured(tmp_path, capsys, monkeypatch, briefly):
    compiler, calls = tmp_path / "compiler", tmp_path / "calls"
    compiler.write_text(f'#!/bin/sh\necho "$@" >>{calls}\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        bench_plan, "WORKLOADS", {"cpu": (bench_plan.Workload("cartpole", 64, 5, 2),)}
    )
    assert cli.main(["bench", "plan", "--quick", "--json", str(tmp_path / "plan.json")]) == 0
    results = json.loads((tmp_path / "plan.json").read_text())
    assert results["machine"]["torch"]
    (row,) = results["rows"]
    assert row["backend"] == "kernel"
    assert 0.0 < row["plan_ms"]["p50"] <= row["plan_ms"]["p99"] <= row["plan_ms"]["max"]
    assert min(row["compile_s"].values()) > 0.0
    # This process and the cold start compile the rollout and the search, the cached one nothing.
    assert sum(" -o " in call for call in calls.read_text().splitlines()) == 4
    assert "cartpole 64 x 5 x 2" in capsys.readouterr().out


def test_bench_scaling_draws_where_the_time_goes(tmp_path, capsys):
    files = {"--json": tmp_path / "scaling.json", "--plot": tmp_path / "scaling.png"}
    arguments = [str(text) for pair in files.items() for text in pair]
    assert cli.main(["bench", "scaling", "--quick", *arguments]) == 0
    for row in json.loads(files["--json"].read_text())["rows"]:
        assert min(row["phases_ms"].values()) > 0.0
    assert files["--plot"].read_bytes().startswith(b"\x89PNG")
    assert "sampling" in capsys.readouterr().out


@pytest.mark.alone
def test_bench_loop_measures_the_node_over_dds(tmp_path, domain_id):
    pytest.importorskip("rclpy")
    output = subprocess.run(
        [sys.executable, "-m", "cem_planner_ros", "bench", "loop", "--seconds", "2"]
        + ["--json", str(tmp_path / "loop.json")],
        capture_output=True,
        text=True,
    )
    assert output.returncode == 0, output.stderr
    results = json.loads((tmp_path / "loop.json").read_text())
    quantiles = {"p50", "p99", "max"}
    assert {k: set(v) if isinstance(v, dict) else type(v) for k, v in results.items()} == {
        "machine": set(results["machine"]),
        "rate_hz": float,
        "seconds": float,
        "commands": int,
        "late": int,
        "missing": int,
        "previous_plan": int,
        "latency_ms": quantiles,
        "latency_less_plan_ms": quantiles,
        "jitter_ms": quantiles,
        "plan_ms": quantiles,
        "iterations": {"p50", "min"},
        "rss_growth_mb": float,
        "stolen_s": float,
        "cpu_share": float,
    }
    # How many were late is up to the machine; that every period is accounted for is not.
    # On a busy machine messages come late: at the end too late, at the beginning into the count.
    assert results["commands"] + results["missing"] == pytest.approx(100, rel=0.5)
    assert 0.0 < results["plan_ms"]["p50"] < results["latency_ms"]["p50"] < 1000.0
    assert 1 <= results["iterations"]["p50"] <= 5
    assert 0.0 < results["cpu_share"] < 2.0
    assert "of 2 s" in output.stderr


def test_commands_that_did_not_come_are_counted_whatever_their_delays():
    random = np.random.default_rng(0)
    periods = np.delete(np.arange(1000), [100, 500, 501, 900])
    for usual in (0.0, 0.4, 0.9):
        delays = usual + 0.1 * random.standard_normal(len(periods))
        delays[[0, 300, 995]] += 0.5  # late ones, also at both ends
        assert bench_loop.missing(list(7.3 + np.sort(periods + delays) / 200.0), 200.0) == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--rate", "0"], "--rate is 0, allowed: from 1 to 2000"),
        (["--seconds", "nan"], "--seconds is nan, allowed: from 1"),
    ],
)
def test_bench_loop_refuses_what_it_cannot_do(arguments, text, capsys):
    assert cli.main(["bench", "loop", *arguments]) == 1
    assert text in capsys.readouterr().err


def test_bench_dynamics_compares_the_ways_to_step_a_model(tmp_path, capsys, monkeypatch, briefly):
    pytest.importorskip("gymnasium")
    pytest.importorskip("mujoco")
    entries = loading.installed("dynamics")
    monkeypatch.setattr(
        bench_dynamics.loading,
        "installed",
        lambda kind: {name: entries[name] for name in ("mujoco", "pendulum")},
    )
    monkeypatch.setattr(bench_dynamics, "ENGINE_SAMPLES", 4)
    monkeypatch.setattr(bench_dynamics, "LEGS_SAMPLES", 12)
    assert cli.main(["bench", "dynamics", "--quick", "--json", str(tmp_path / "rows.json")]) == 0
    pendulum, variants, cheetah, quadruped = json.loads((tmp_path / "rows.json").read_text())[
        "rows"
    ]
    assert set(pendulum["steps_per_s"]) == {"eager", "kernel"}
    assert min(pendulum["steps_per_s"].values()) > 0
    assert variants["ratio_to_one"] > 0.0
    assert cheetah["rollouts_per_s"]["plugin"] > 0
    assert set(quadruped["steps_per_s"]) == {"plan", "direct"}
    assert quadruped["share_around_steps"] < 1.0
    assert "pendulum" in capsys.readouterr().out


def test_the_benchmarks_reference_and_the_planner_cost_the_same(capsys):
    """Both are given the cart-pole of the benchmark, written down twice."""
    reference = PlainCEM(samples=50, horizon=20, iterations=1)
    actions = torch.rand(50, 20, 1) * 2 - 1
    expected = reference.cost(torch.tensor([0.1, 0.2, 3.0, -0.1]), actions)
    task = tasks.TASKS["cartpole"]
    model = task.dynamics()
    rollout = Rollout(model, [task.cost(model)], 0.02)
    sequence = 10.0 * actions.permute(1, 2, 0)
    got = rollout(
        torch.tensor([0.1, 0.2, 3.0, -0.1]), sequence, torch.zeros(1), torch.full((20,), 0.02)
    )
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_bench_refuses_a_device_that_is_not_there(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert cli.main(["bench", "plan", "--device", "cuda"]) == 1
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--duration", "1"], "--duration is 1, allowed: at least 4 s"),
        (["--duration", "nan"], "--duration is nan"),
        (["--seed", "-1"], "--seed is -1"),
        (["--seed", str(10**20)], "allowed: from 0 to 9223372036854775807"),
        (["--view", "99999"], "--view is 99999, allowed: from 1 to 65535"),
    ],
)
def test_demo_refuses_what_it_cannot_do(tmp_path, arguments, text, capsys):
    assert cli.main(["demo", "--report", str(tmp_path), *arguments]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (OSError(errno.EIO, "Input/output error"), 129, ""),  # The terminal was closed.
        (PermissionError(errno.EACCES, "Permission denied", "f.yaml"), 1, "error: f.yaml: Perm"),
    ],
)
def test_errors_of_the_system_are_no_tracebacks(monkeypatch, capfd, error, status, text):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "_main", fail)
    monkeypatch.setattr(cli, "_close_output", lambda: None)
    assert cli.main([]) == status
    assert capfd.readouterr().err.startswith(text)


def children(process):
    """Return the processes that a process started."""
    found = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):  # A thread that has ended meanwhile.
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def demo(report, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "cem_planner_ros", "demo", "--report", str(report), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def whole_demo(report, seconds, *arguments):
    """
    Return summary and output of a demo, which has also drawn its picture.

    How well it did is for the caller to judge. That takes a machine that had time for it, in the
    last `seconds`; else the rest of the test is skipped.
    """
    pytest.importorskip("rclpy")
    pytest.importorskip("mujoco")
    process = demo(report, *arguments)
    with Idleness() as idleness:
        output, _ = process.communicate(timeout=280)
    summary = json.loads((report / "summary.json").read_text())
    assert (report / "demo.png").read_bytes().startswith(b"\x89PNG"), output
    assert process.returncode == (0 if summary["success"] else 1)
    assert summary["commands"] > 0
    if not idleness.lasted(seconds):
        pytest.skip(
            "the demo ran to its end, but others used the machine, so how well says nothing"
        )
    return summary, output


def long_demo(report):
    """Start a demo that would take a minute; return it and the two processes it started."""
    process = demo(report, "--duration", "60")
    try:
        end = time.monotonic() + 120.0
        while len(started := children(process)) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        assert len(started) == 2
    except BaseException:
        process.kill()  # Else it would answer in the DDS domain of a later test.
        raise
    return process, started


@pytest.mark.alone
def test_demo_swings_the_pole_up_and_reports(tmp_path, domain_id):
    summary, output = whole_demo(tmp_path, 8.0, "--seed", "3", "--duration", "8")
    # A few commands may be late; that the pole is up is sure.
    assert summary["upright_share_last_2s"] == 1.0, output
    assert summary["time_to_goal_s"] < 6.0
    assert summary["commands"] > 300
    assert set(summary) == {
        "scenario",
        "seed",
        "success",
        "time_to_goal_s",
        "upright_share_last_2s",
        "plan_ms",
        "state_age_ms",
        "period_jitter_ms",
        "commands",
        "late",
        "missing",
        "previous_plan",
    }
    assert "time to upright" in output


@pytest.mark.alone
def test_demo_drives_a_robot_to_its_goal_and_reports(tmp_path, domain_id):
    summary, output = whole_demo(tmp_path, 20.0, "--scenario", "diff_drive", "--seed", "2")
    assert summary["success"], output
    assert not summary["touched"]
    assert summary["distance_m"] < 0.1
    assert summary["time_to_goal_s"] > 18.0  # 10 m at 0.5 m/s, and around obstacles.
    assert "touched" in output


@pytest.mark.alone
def test_demo_moves_an_arm_and_reports(tmp_path, domain_id):
    summary, output = whole_demo(tmp_path, 6.0, "--scenario", "arm", "--duration", "6")
    assert summary["goals"] == 3, output
    assert summary["max_error_m"] < 0.2
    assert not summary["touched"]
    assert summary["first_step_rad"] < 0.06


@pytest.mark.alone
def test_demo_flies_a_quadrotor_and_reports(tmp_path, domain_id):
    summary, output = whole_demo(tmp_path, 8.0, "--scenario", "quadrotor", "--duration", "8")
    assert summary["rms_error_m"] < 0.2, output
    assert "from the figure" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_both_processes(tmp_path, number, domain_id):
    pytest.importorskip("rclpy")
    pytest.importorskip("mujoco")
    process, started = long_demo(tmp_path)
    time.sleep(1.0)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not any(is_alive(pid) for pid in started)


def test_a_demo_that_is_killed_leaves_no_process(tmp_path, wait_until, domain_id):
    pytest.importorskip("rclpy")
    pytest.importorskip("mujoco")
    process, started = long_demo(tmp_path)
    wait_until(lambda: "commands per second" in (tmp_path / "planner.log").read_text())
    process.kill()
    process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in started))


def test_bench_drive_says_what_plans_and_pictures_take(tmp_path, domain_id):
    pytest.importorskip("rclpy")
    pytest.importorskip("mujoco")
    code = (
        "import sys; from cem_planner_ros import cli; "
        "from cem_planner_ros.benchmarks import bench_drive;"
        " bench_drive.WORLDS = bench_drive.EMPTY_WORLDS = (); sys.exit(cli.main(sys.argv[1:]))"
    )
    file = tmp_path / "drive.json"
    arguments = ["bench", "drive", "--quick", "--json", str(file)]
    output = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True
    )
    assert output.returncode == 0, output.stderr
    results = json.loads(file.read_text())
    assert {row["name"] for row in results["plans"]} == set(bench_drive.BUDGETS)
    assert 0.0 < results["markers"]["marker_ms"]["p50"] < 1e3
    assert "markers of 50 x 56, published: p50" in output.stdout


@pytest.fixture
def isolated(monkeypatch, domain_id):
    """A function that isolates this process, as a demo does; returns its domain and range."""
    before = signal.getsignal(signal.SIGTERM)
    names = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")

    def isolate(domain=None):
        for name in names:
            monkeypatch.delenv(name, raising=False)
        if domain is not None:
            monkeypatch.setenv("ROS_DOMAIN_ID", domain)
        node_processes.isolate()
        return tuple(os.environ[name] for name in names)

    yield isolate
    signal.signal(signal.SIGTERM, before)


def test_a_demo_stays_on_this_machine_and_in_a_domain_of_its_own_unless_told(isolated):
    pytest.importorskip("rclpy")
    found = {isolated() for _ in range(20)}
    assert {where for _, where in found} == {"LOCALHOST"}
    assert len(found) > 5
    assert ("0", "LOCALHOST") not in found  # The domain of all who choose none.
    assert isolated("7") == ("7", "LOCALHOST")


def test_an_interrupt_comes_between_two_calls():
    """Raised within one of rclpy's, it came out as a RuntimeError."""
    ended = []

    class Executor:
        def spin_once(self, timeout_sec):
            signal.raise_signal(signal.SIGINT)
            ended.append(timeout_sec)

    with pytest.raises(KeyboardInterrupt):
        node_processes.spin_once(Executor())
    assert ended
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
