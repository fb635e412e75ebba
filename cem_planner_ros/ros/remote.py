# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Access to a running node over its services, for the commands set, get, list and watch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from cem_planner_ros.configuration import split_name
from cem_planner_ros.configuration.yaml_files import parse_value
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.plugins import loading
from cem_planner_ros.ros import node_processes
from cem_planner_ros.ros.declaring import python_value

APPEAR = 10.0
"""Time for finding a running node, s."""

ANSWER = 10.0
"""Time for an answer, s; a node that is being configured answers afterwards."""

KINDS = {
    ParameterType.PARAMETER_BOOL: (bool, "true or false"),
    ParameterType.PARAMETER_INTEGER: (int, "an integer"),
    ParameterType.PARAMETER_DOUBLE: (float, "a number"),
    ParameterType.PARAMETER_STRING: (str, "a string"),
    ParameterType.PARAMETER_BOOL_ARRAY: (list, "a list of booleans"),
    ParameterType.PARAMETER_INTEGER_ARRAY: (list, "a list of integers"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: (list, "a list of numbers"),
    ParameterType.PARAMETER_STRING_ARRAY: (list, "a list of strings"),
}
"""The types of parameters: in Python, and for messages."""


class Remote:
    """
    A node of another process.

    As a context manager it joins the ROS graph and leaves it again.

    Args:
        name: NAME or NAMESPACE/NAME.

    Raises ConfigurationError if the name is not allowed, or no node has this name.
    """

    def __init__(self, name: str):
        self.name, self.namespace = split_name(name)
        self.full_name = f"{self.namespace.rstrip('/')}/{self.name}"

    def __enter__(self) -> Remote:
        context = rclpy.Context()
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        name = f"_cem_planner_ros_{os.getpid()}"
        self.node = Node(name, context=context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        try:
            self._find()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.node.context)

    def spin(self) -> None:
        """Receive messages for at most 0.1 s; Ctrl-C raises KeyboardInterrupt."""
        node_processes.spin_once(self._executor)

    def _find(self) -> None:
        end = time.monotonic() + APPEAR
        while True:
            found = {
                f"{namespace.rstrip('/')}/{name}"
                for name, namespace in self.node.get_node_names_and_namespaces()
                if not name.startswith("_")
            }
            if self.full_name in found:
                return
            if time.monotonic() > end:
                raise ConfigurationError(
                    f"no node '{self.full_name}' was found"
                    f"{did_you_mean(self.full_name, found)} (seen: "
                    f"{', '.join(sorted(found)) or 'none'}; ROS_DOMAIN_ID is "
                    f"{os.environ.get('ROS_DOMAIN_ID', '0')})"
                )
            self.spin()

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Return the response of a service. Raises ConfigurationError without a response."""
        client = self.node.create_client(kind, f"{self.full_name}/{service}")
        try:
            end = time.monotonic() + ANSWER
            future = None
            while future is None or not future.done():
                if future is None and client.service_is_ready():
                    future = client.call_async(request)
                if time.monotonic() > end:
                    raise ConfigurationError(
                        f"'{self.full_name}' did not answer within {ANSWER:g} s: it is busy, or "
                        "gone"
                    )
                self.spin()
            return future.result()
        finally:
            self.node.destroy_client(client)

    def names(self) -> list[str]:
        """Return the names of the node's parameters, in order."""
        response = self.call(ListParameters, "list_parameters", ListParameters.Request())
        return sorted(response.result.names)

    def describe(self, names: Sequence[str]) -> list[ParameterDescriptor]:
        """Return descriptors of parameters. Raises ConfigurationError for unknown ones."""
        known = self.names()
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"{loading.unknown('parameter', name, known)} (of '{self.full_name}')"
                )
        request = DescribeParameters.Request(names=list(names))
        return list(self.call(DescribeParameters, "describe_parameters", request).descriptors)

    def get(self, names: Sequence[str]) -> list[Any]:
        """Return values of parameters. Raises ConfigurationError for unknown ones."""
        self.describe(names)
        request = GetParameters.Request(names=list(names))
        response = self.call(GetParameters, "get_parameters", request)
        return [python_value(value) for value in response.values]

    def set(self, name: str, text: str) -> Any:
        """
        Set a parameter to a value given as text, and return the value.

        Raises ConfigurationError, with what is allowed, if the parameter does not exist, the type
        is wrong, or the node refuses the value.
        """
        (descriptor,) = self.describe([name])
        allowed = _allowed(descriptor)
        kind, words = KINDS.get(descriptor.type, (object, "of another type"))
        value = text if kind is str else parse_value(text)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigurationError(f"'{name}' is {words}, not {text!r}{allowed}")
        parameter = Parameter(name, value=value).to_parameter_msg()
        if kind is list:
            # An empty list would have no type, and a list of integers not the type of floats.
            parameter = Parameter(name, Parameter.Type(descriptor.type), value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        (result,) = self.call(SetParameters, "set_parameters", request).results
        if not result.successful:
            raise ConfigurationError(
                f"'{self.full_name}' does not set '{name}' to {text}: {result.reason}"
                f"{'' if 'allowed' in result.reason else allowed}"
            )
        return value


def _allowed(descriptor: ParameterDescriptor) -> str:
    text = descriptor.additional_constraints
    return f", allowed: {text}" if text else ""
