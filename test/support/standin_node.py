# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a node: what is subscribed to, looked at again and logged, without ROS running."""

import types


class StandInNode:
    def __init__(self):
        self.take = {}
        """{topic: callback} of the subscriptions."""
        self.timers = []
        """Callbacks of the timers."""
        self.logged, self.said = [], []
        """Warnings; what was logged as information."""

    def resolve_topic_name(self, topic):
        return f"/{topic}"

    def get_publishers_info_by_topic(self, topic):
        return []

    def get_topic_names_and_types(self):
        return []

    def create_subscription(self, kind, topic, take, qos, event_callbacks=None):
        self.take[topic] = take
        return topic

    def destroy_subscription(self, topic):
        del self.take[topic]

    def create_timer(self, period, look, clock):
        self.timers.append(look)
        return look

    def destroy_timer(self, look):
        self.timers.remove(look)

    def get_logger(self):
        return types.SimpleNamespace(warning=self.logged.append, info=self.said.append)
