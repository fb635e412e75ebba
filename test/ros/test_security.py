# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The policy for SROS2 is compared with what the planner publishes, reads and serves."""

import xml.etree.ElementTree as ET

import pytest

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.paths import share


def allowed(name, kind, way):
    """Return the full names that the policy allows a node to publish, subscribe or serve."""
    policy = ET.parse(share("config") / "sros2_policy.xml")
    groups = policy.findall(f".//profile[@node='{name}']/{kind}s[@{way}='ALLOW']")
    texts = [entry.text for group in groups for entry in group.findall(kind)]
    return {text.replace("~", f"/{name}") if text[0] == "~" else f"/{text}" for text in texts}


@pytest.mark.parametrize("name", ["cem_planner", "_cem_planner_state"])
def test_the_policy_allows_what_the_planner_does(name, node, observer, wait_until, write_yaml):
    values = load_yaml(share("config") / "cartpole.yaml")
    file = write_yaml(values | {"planner.backend": "eager", "publish_statistics": True})
    node(file).autostart()
    wait_until(lambda: observer.lifecycle() == "active")
    graph = observer.node

    def names(ask):
        return {topic for topic, _ in ask(name, "/")}

    # What the graph shows of a node comes bit by bit.
    reads = graph.get_subscriber_names_and_types_by_node
    last = "/cem_planner/emergency_stop" if name == "cem_planner" else "/joint_states"
    wait_until(lambda: last in names(reads))
    if name == "cem_planner":
        publishes = graph.get_publisher_names_and_types_by_node
        wait_until(lambda: "/effort" in names(publishes))
        wait_until(lambda: "/cem_planner/pause" in names(graph.get_service_names_and_types_by_node))
    for kind, way, ask in (
        ("topic", "publish", graph.get_publisher_names_and_types_by_node),
        ("topic", "subscribe", graph.get_subscriber_names_and_types_by_node),
        ("service", "reply", graph.get_service_names_and_types_by_node),
    ):
        assert names(ask) <= allowed(name, kind, way), (kind, way)


def test_the_policy_names_the_topics_of_its_parameter_file():
    values = load_yaml(share("config") / "cartpole.yaml")
    command, state = values["command.topic"], values["state.topic"]
    assert f"/{command}" in allowed("cem_planner", "topic", "publish")
    assert f"/{state}" in allowed("_cem_planner_state", "topic", "subscribe")
