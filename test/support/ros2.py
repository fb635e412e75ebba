# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Stands in for the command `ros2`, which is not on PyPI, for the commands that the pages show.

`run`, `param set`, `topic pub`, `topic echo` and `service call` do what those of ROS do. `launch`
starts the nodes of simulation.launch.py with the same files; test/launch tests the launch files.
"""

import importlib
import os
import signal
import subprocess
import sys

import yaml


def module(kind):
    """Return the class of a type of messages or services such as std_msgs/msg/Bool."""
    package, folder, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.{folder}"), name)


def filled(message, values):
    """Return a message with the values of nested fields; a name that it lacks is an error."""
    for name, value in values.items():
        now = getattr(message, name)
        if isinstance(value, dict):
            value = filled(now, value)
        elif isinstance(value, list) and isinstance(value[0], dict):
            kind = message.get_fields_and_field_types()[name]
            package, of_one = kind.removeprefix("sequence<").removesuffix(">").split("/")
            value = [filled(module(f"{package}/msg/{of_one}")(), one) for one in value]
        setattr(message, name, value)
    return message


def launch(file, *arguments):
    if file != "simulation.launch.py":
        sys.exit(f"ros2: this one stands in for simulation.launch.py only, not for {file}")
    given = dict(argument.split(":=") for argument in arguments)
    name = given.pop("scenario", "cartpole")
    if given:
        sys.exit(f"ros2: unknown arguments {given}")
    planner = "drive" if name == "diff_drive" else name
    plant = "cartpole" if name == "cartpole_learned" else planner
    nodes = [
        ("simulator_node", f"{plant}_simulator.yaml", "-p", f"planner_file:=config/{planner}.yaml"),
        *([("costmap_node", "drive_mapper.yaml")] if name == "diff_drive" else []),
        ("planner_node", f"{planner}.yaml"),
    ]
    command = "{0} --ros-args --params-file config/{1}".format
    started = [
        subprocess.Popen([*command(*node).split(), *node[2:]], start_new_session=True)
        for node in nodes
    ]
    signal.signal(signal.SIGINT, lambda *_: [node.send_signal(signal.SIGINT) for node in started])
    sys.exit(max(node.wait() for node in started))


def with_node(do, *arguments):
    """Call a function with a node of its own."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node(f"_ros2_{os.getpid()}")
    try:
        do(node, *arguments)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def publish(node, rate, topic, kind, text):
    """Publish once, when somebody subscribes; or at a rate, until SIGINT."""
    import rclpy

    publisher = node.create_publisher(module(kind), topic, 1)
    message = filled(module(kind)(), yaml.safe_load(text))
    while not publisher.get_subscription_count():
        rclpy.spin_once(node, timeout_sec=0.1)
    publisher.publish(message)
    print(f"publishing {message}", flush=True)
    node.create_timer(1.0 / (rate or 2.0), lambda: rate and publisher.publish(message))
    while True:
        rclpy.spin_once(node)
        if not rate:
            return


def echo(node, topic):
    import rclpy

    kinds = []
    while not kinds:
        kinds = dict(node.get_topic_names_and_types()).get(topic, [])
        rclpy.spin_once(node, timeout_sec=0.1)
    node.create_subscription(module(kinds[0]), topic, lambda m: print(m, flush=True), 10)
    rclpy.spin(node)


def call(node, service, kind, text):
    import rclpy

    client = node.create_client(module(kind), service)
    client.wait_for_service()
    future = client.call_async(filled(module(kind).Request(), yaml.safe_load(text)))
    rclpy.spin_until_future_complete(node, future)
    print(future.result())


def main(words):
    match words:
        case ["run", "cem_planner_ros", executable, *rest]:
            os.execvp(executable, [executable, *rest])
        case ["launch", "cem_planner_ros", file, *rest]:
            launch(file, *rest)
        case ["param", "set", node, name, value]:
            program = [sys.executable, "-m", "cem_planner_ros", "set", node, name, value]
            os.execv(sys.executable, program)
        case ["topic", "pub", "-1" | "--once", topic, kind, text]:
            with_node(publish, 0.0, topic, kind, text)
        case ["topic", "pub", "--rate", rate, topic, kind, text]:
            with_node(publish, float(rate), topic, kind, text)
        case ["topic", "echo", topic]:
            with_node(echo, topic)
        case ["service", "call", service, kind, text]:
            with_node(call, service, kind, text)
        case _:
            sys.exit(f"ros2: this one does not know '{' '.join(words)}'")


if __name__ == "__main__":
    main(sys.argv[1:])
