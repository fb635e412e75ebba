# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What `ros2 param dump` writes of a running node makes another node that is the same."""

import numpy as np
import yaml
from std_msgs.msg import Float64MultiArray

SAFE = [0.0, 0.0]
PARAMETERS = {
    "goal.target.x": 0.7,
    "goal.target.y": -1e-12,
    "goal.rate_weight.x_ddot": 0.01,
    "action.high.y_ddot": 0.5,
    "planner.std_initial": 0.6,
    "command.frame_id": "base",
}


def dump(observer, file, node="/cem_planner"):
    """Write what `ros2 param dump` writes: every parameter, nested, under the node's name."""
    values = {name: observer.get(name, node) for name in sorted(observer.parameters(node))}
    tree = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[leaf] = list(value) if isinstance(value, (list, tuple)) else value
    file.write_text(yaml.dump({node: {"ros__parameters": tree}}, default_flow_style=False))
    return values


def first_command(observer, wait_until):
    """Return the first command that rests on a plan, for a state that stands still."""
    commands = observer.listen(Float64MultiArray, "command")
    publisher = observer.node.create_publisher(Float64MultiArray, "state", 1)
    wait_until(lambda: len(commands) > 1)
    assert {tuple(message.data) for _, message in commands} == {tuple(SAFE)}
    timer = observer.node.create_timer(
        0.01, lambda: publisher.publish(Float64MultiArray(data=[0.0, 0.1, 0.0, 0.0]))
    )
    wait_until(lambda: any(list(message.data) != SAFE for _, message in commands))
    observer.node.destroy_timer(timer)
    observer.node.destroy_publisher(publisher)
    return next(list(message.data) for _, message in commands if list(message.data) != SAFE)


def test_a_dumped_node_is_made_again_the_same(
    observer, start, write_yaml, drive, wait_until, tmp_path
):
    # A long period, lest the machine decide how many iterations it has and which plan is the first.
    drive |= {"recover_periods": 1, "control_rate": 1.0, "max_state_age": 3.0}
    # At rest, lest it matter how old the state is.
    drive["action.safe.x_ddot"] = 0.0
    first = start("planner", "--params-file", write_yaml(drive))
    wait_until(lambda: "active" in first.output())
    changes = {name.replace(".", "__"): value for name, value in PARAMETERS.items()}
    assert observer.set(**changes) == []
    for name in ("deactivate", "cleanup", "configure", "activate"):
        assert observer.transition(name)
    values = dump(observer, tmp_path / "dump.yaml")
    assert values.items() >= PARAMETERS.items()
    command = first_command(observer, wait_until)
    assert first.end() == 0

    second = start("planner", "--params-file", tmp_path / "dump.yaml")
    wait_until(lambda: "active" in second.output())
    assert {name: observer.get(name) for name in observer.parameters()} == values
    np.testing.assert_allclose(first_command(observer, wait_until), command, atol=1e-4)
