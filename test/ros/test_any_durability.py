# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A subscription that hears latched and volatile publishers, over DDS."""

import time

import pytest
import rclpy
from geometry_msgs.msg import PointStamped
from hypothesis import given
from hypothesis import strategies as st
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32

from cem_planner_ros.ros.any_durability import (
    DEPTH,
    LINGER,
    AnyDurabilitySubscription,
    Copies,
)
from cem_planner_ros.ros.process import light_executor

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener:
    def __init__(self, node, kind=Int32, read=lambda message: message.data, **options):
        self.heard = []
        self.subscription = AnyDurabilitySubscription(
            node, kind, "topic", lambda message: self.heard.append(read(message)), **options
        )


@pytest.fixture
def nodes(context):
    """One that listens and one that publishes."""
    made = [rclpy.create_node(name) for name in ("listener", "talker")]
    yield made
    for node in made:
        node.destroy_node()


@pytest.fixture
def spin(nodes):
    """A function that spins the nodes, as the node's process does, until a condition holds."""
    executor = light_executor()
    for node in nodes:
        executor.add_node(node)

    def until(condition, wait=20.0):
        end = time.monotonic() + wait
        while not condition():
            assert time.monotonic() < end, "timed out"
            executor.spin_once(timeout_sec=0.01)

    yield until
    for node in nodes:
        executor.remove_node(node)
    executor.shutdown()


@pytest.fixture
def incompatible(capfd):
    """The lines so far about publishers and subscriptions that do not meet."""

    def lines():
        text = "".join(capfd.readouterr())
        return [line for line in text.splitlines() if "incompatible" in line]

    return lines


def subscriptions(talker):
    return talker.count_subscribers("topic")


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
def test_it_hears_what_a_latched_publisher_said_before_and_says_after(
    nodes, spin, incompatible, reliability
):
    node, talker = nodes
    publisher = talker.create_publisher(Int32, "topic", LATCHED)
    publisher.publish(Int32(data=1))
    listener = Listener(node, reliability=ReliabilityPolicy[reliability])
    listener.subscription.ask()
    spin(lambda: listener.heard == [1])
    spin(lambda: publisher.get_subscription_count() == 2)
    publisher.publish(Int32(data=2))
    spin(lambda: listener.heard[-1] == 2)
    # Once it has been heard, the volatile subscription is enough, if nothing gets lost there.
    kept = 1 if reliability == "RELIABLE" else 2
    spin(lambda: publisher.get_subscription_count() == kept, LINGER + 20.0)
    publisher.publish(Int32(data=3))
    spin(lambda: listener.heard[-1] == 3)
    assert list(dict.fromkeys(listener.heard)) == [1, 2, 3]
    assert not incompatible()


@pytest.mark.parametrize("stamp", [0, 7])
def test_it_hears_each_message_of_a_latched_publisher_again(nodes, spin, stamp):
    """Twice at most without a stamp; once with a stamp, which says that it is the same message."""
    node, talker = nodes
    publisher = talker.create_publisher(PointStamped, "topic", LATCHED)
    listener = Listener(
        node,
        PointStamped,
        lambda message: message.header.stamp.sec,
        reliability=ReliabilityPolicy.BEST_EFFORT,
    )
    listener.subscription.ask()
    spin(lambda: publisher.get_subscription_count() == 2)
    message = PointStamped()
    for count in range(1, 4):
        message.header.stamp.sec = stamp and stamp + count
        publisher.publish(message)
        expected = count if stamp else 2 * count
        spin(lambda expected=expected: len(listener.heard) >= expected)
    end = time.monotonic() + 0.3  # Time for one more, which there must not be.
    spin(lambda: time.monotonic() > end)
    assert listener.heard == ([8, 9, 10] if stamp else [0] * 6)


@given(st.data())
def test_of_two_subscriptions_each_message_is_taken_once_however_far_one_lags(data):
    """The transient-local one loses nothing; what the other one loses may be taken again."""
    count = data.draw(st.integers(1, 3 * DEPTH))
    lost = data.draw(st.sets(st.integers(0, count - 1)) | st.just(set()))
    waiting = {True: list(range(count)), False: [n for n in range(count) if n not in lost]}
    copies, taken = Copies(), []
    while waiting[True] or waiting[False]:
        oldest = min(waiting[True] + waiting[False])
        able = [source for source, left in waiting.items() if left and left[0] < oldest + DEPTH]
        source = data.draw(st.sampled_from(able))
        number = waiting[source].pop(0)
        if not copies.is_copy(number, source):
            taken.append(number)
    assert set(taken) == set(range(count))
    assert taken[-1] == count - 1  # The newest one stays in force.
    if not lost:
        assert taken == list(range(count))


def test_it_hears_volatile_publishers_and_nobody_warns(nodes, spin, incompatible):
    node, talker = nodes
    listener = Listener(node)
    listener.subscription.ask()
    publisher = talker.create_publisher(Int32, "topic", 1)
    spin(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32(data=1))
    spin(lambda: listener.heard == [1])
    for _ in range(20):
        listener.subscription.look()
        spin(lambda: True)
    assert subscriptions(talker) == 1
    assert not incompatible()


def test_a_latched_publisher_that_comes_later_is_heard_too(nodes, spin, incompatible):
    node, talker = nodes
    listener = Listener(node)
    listener.subscription.ask()
    spin(lambda: subscriptions(talker) == 1)
    publisher = talker.create_publisher(Int32, "topic", LATCHED)
    publisher.publish(Int32(data=1))  # Before the two have met.
    spin(lambda: listener.heard == [1])
    assert not incompatible()


def test_a_volatile_publisher_beside_a_latched_one_is_heard(nodes, spin):
    node, talker = nodes
    latched = talker.create_publisher(Int32, "topic", LATCHED)
    latched.publish(Int32(data=1))
    volatile = talker.create_publisher(Int32, "topic", 1)
    listener = Listener(node)
    listener.subscription.ask()
    spin(lambda: listener.heard == [1])
    spin(lambda: volatile.get_subscription_count() == 1)
    volatile.publish(Int32(data=2))
    spin(lambda: listener.heard == [1, 2])


def test_what_was_said_before_is_heard_when_it_is_asked_for_and_again(nodes, spin):
    node, talker = nodes
    publisher = talker.create_publisher(Int32, "topic", LATCHED)
    publisher.publish(Int32(data=1))
    listener = Listener(node)
    spin(lambda: publisher.get_subscription_count() == 1)
    assert not listener.heard
    for count in (1, 2):
        listener.subscription.ask()
        spin(lambda count=count: listener.heard == [1] * count)
        listener.subscription.ask_no_more()
        spin(lambda: publisher.get_subscription_count() == 1)


def test_it_can_wait_for_what_was_said_before_without_an_executor(nodes, wait_until):
    node, talker = nodes
    publisher = talker.create_publisher(Int32, "topic", LATCHED)
    publisher.publish(Int32(data=1))
    listener = Listener(node)
    wait_until(lambda: node.count_publishers("topic") == 1)
    listener.subscription.ask()
    wait_until(lambda: listener.subscription.settle() or listener.heard == [1])


def test_given_up_it_hears_nothing(nodes, spin):
    node, talker = nodes
    publisher = talker.create_publisher(Int32, "topic", LATCHED)
    listener = Listener(node)
    listener.subscription.ask()
    spin(lambda: publisher.get_subscription_count() == 2)
    listener.subscription.destroy()
    spin(lambda: publisher.get_subscription_count() == 0)
