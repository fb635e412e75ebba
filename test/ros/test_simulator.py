# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The simulator node, seen from outside."""

import math
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped, TwistStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState, LaserScan, PointCloud2
from spinning import spinning
from std_msgs.msg import Bool, Float64MultiArray

from cem_planner_ros.cli.init_command import of_file
from cem_planner_ros.cli.plan_fitting import IterationTime
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.mjcf import load
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.readers import stamp_of, state_reader
from cem_planner_ros.ros import process
from cem_planner_ros.ros.messages import message_class
from cem_planner_ros.ros.simulator import SimulatorNode
from cem_planner_ros.simulation.plants import ODOMETRY_FIELDS, ModelPlant, MujocoPlant

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cartpole():
    pytest.importorskip("mujoco")
    return MujocoPlant(ROOT / "models" / "cartpole.xml")


def test_the_cartpole_begins_hanging_at_rest(cartpole):
    np.testing.assert_allclose(cartpole.state(), [0.0, math.pi, 0.0, 0.0], atol=1e-9)
    assert list(cartpole.state_fields.values()) == [
        "position[slider]",
        "position[hinge]",
        "velocity[slider]",
        "velocity[hinge]",
    ]
    assert cartpole.command_fields == {"force": "data[0]"}


def test_no_time_is_lost_between_steps(cartpole):
    for _ in range(100):
        cartpole.step(np.zeros(1), 0.00149)
    assert cartpole.time == pytest.approx(0.149, abs=0.0011)


def test_the_force_moves_the_cart(cartpole):
    cartpole.step(np.array([5.0]), 0.2)
    assert cartpole.state()[0] > 0.05


SLIDER = """
<mujoco>
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="0 0 1" condim="1"/>
    <geom name="wall" type="box" size="0.1 1 1" pos="1 0 0"/>
    <body name="puck" pos="0 0 0.09">
      <joint name="slide" type="slide" axis="1 0 0"/>
      <geom name="puck" type="sphere" size="0.1" condim="1"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide"/></actuator>
</mujoco>
"""


def test_what_was_touched_is_known_for_good_but_not_the_ground(tmp_path):
    pytest.importorskip("mujoco")
    file = tmp_path / "slider.xml"
    file.write_text(SLIDER)
    plant = MujocoPlant(file)
    plant.step(np.array([0.0]), 0.1)
    assert plant.touched == ()
    plant.step(np.array([10.0]), 1.5)
    plant.step(np.array([-20.0]), 1.0)
    assert plant.physics_state()[0] < 0.7
    assert plant.touched == ("wall",)


def test_masses_and_limits_are_those_of_the_planners_configuration(cartpole):
    configuration = configure(
        load_yaml(ROOT / "config" / "cartpole.yaml") | {"planner.device": "cpu"}
    )
    value = configuration.values
    model = load(ROOT / "models" / "cartpole.xml")
    assert model.body("cart").mass[0] == value["dynamics.cart_mass"]
    assert model.body("pole").mass[0] == value["dynamics.pole_mass"]
    assert model.body("pole").ipos[2] == value["dynamics.half_length"]
    assert -model.opt.gravity[2] == value["dynamics.gravity"]
    assert list(model.actuator_ctrlrange[0]) == configuration.action("low") + configuration.action(
        "high"
    )


def test_a_missing_model_file_is_named():
    pytest.importorskip("mujoco")
    with pytest.raises(ConfigurationError, match=r"nowhere\.xml"):
        MujocoPlant("nowhere.xml")


def test_the_plant_without_physics_moves_as_its_model():
    configuration = configure(
        {
            "planner.device": "cpu",
            "dynamics.plugin": "double_integrator",
            "state.type": "std_msgs/msg/Float64MultiArray",
        }
    )
    plant = ModelPlant(configuration, np.array([0.0, 0.0, 1.0, 0.0]))
    plant.step(np.array([0.0, 1.0]), 2.0)
    np.testing.assert_allclose(plant.state(), [2.0, 2.0, 1.0, 2.0], rtol=1e-5)
    with pytest.raises(ConfigurationError, match="4 numbers"):
        ModelPlant(configuration, np.zeros(3))


@pytest.fixture
def quadruped():
    pytest.importorskip("mujoco")
    return MujocoPlant(ROOT / "models" / "quadruped.xml", "home")


def test_a_floating_robot_stands_at_its_keyframe_until_it_is_commanded(quadruped):
    names = ODOMETRY_FIELDS
    assert dict(zip(names, quadruped.odometry("base"), strict=True))["z"] == pytest.approx(0.31)
    for _ in range(50):
        quadruped.step(quadruped.idle, 0.02)
    stands = dict(zip(names, quadruped.odometry("base"), strict=True))
    assert stands["z"] == pytest.approx(0.28, abs=0.03)
    assert stands["qw"] == pytest.approx(1.0, abs=0.01)
    assert len(quadruped.state_fields) == 24


def test_a_push_moves_a_robot_by_its_impulse_and_ends(tmp_path):
    pytest.importorskip("mujoco")
    file = tmp_path / "thrown.xml"
    file.write_text(
        """<mujoco><option gravity="0 0 0" timestep="0.01"/><worldbody><body>
        <freejoint name="free"/><geom type="box" size="0.1 0.1 0.1" mass="2"/>
        </body></worldbody></mujoco>"""
    )
    plant = MujocoPlant(file)
    plant.push("free", np.array([0.0, 3.0, -1.0]))
    for _ in range(3):  # The last one ends after the push.
        plant.step(plant.idle, 0.2)
    plant.step(plant.idle, 0.3)
    np.testing.assert_allclose(plant.odometry("free")[7:10], [0.0, 1.5, -0.5], rtol=1e-6)


def test_pushes_of_two_bodies_at_once_both_end(tmp_path):
    pytest.importorskip("mujoco")
    file = tmp_path / "two.xml"
    file.write_text(
        """<mujoco><option gravity="0 0 0" timestep="0.01"/><worldbody>
        <body><freejoint name="a"/><geom type="box" size="0.1 0.1 0.1" mass="2"/></body>
        <body pos="3 0 0"><freejoint name="b"/><geom type="box" size="0.1 0.1 0.1" mass="1"/>
        </body></worldbody></mujoco>"""
    )
    plant = MujocoPlant(file)
    plant.push("a", np.array([3.0, 0.0, 0.0]))
    plant.step(plant.idle, 0.2)
    plant.push("b", np.array([0.0, 1.0, 0.0]))
    plant.push("b", np.array([0.0, 1.0, 0.0]))
    plant.step(plant.idle, 1.0)
    np.testing.assert_allclose(plant.odometry("a")[7:10], [1.5, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(plant.odometry("b")[7:10], [0.0, 2.0, 0.0], atol=1e-6)


def test_odometry_has_the_twist_in_the_frame_of_the_body(tmp_path):
    mujoco = pytest.importorskip("mujoco")
    file = tmp_path / "thrown.xml"
    half = math.sqrt(0.5)
    file.write_text(
        f"""<mujoco><option gravity="0 0 0"/><worldbody>
        <body name="box"><freejoint name="free"/><geom type="box" size="0.1 0.2 0.3"/></body>
        <body name="ball" pos="3 0 0"><freejoint name="ball"/><geom size="0.1"/></body></worldbody>
        <keyframe><key name="up" qpos="1 2 3 {half} 0 0 {half} 3 0 0 1 0 0 0"
        qvel="0 5 1 0 0 0.5 0 0 0 0 0 0"/></keyframe></mujoco>"""
    )
    plant = MujocoPlant(file, "up")
    assert plant.free_joints == {"free": "box", "ball": "ball"}
    # Turned by 90 degrees to the left, the body moves forwards.
    expected = [1.0, 2.0, 3.0, half, 0.0, 0.0, half, 5.0, 0.0, 1.0, 0.0, 0.0, 0.5]
    np.testing.assert_allclose(plant.odometry("free"), expected, atol=1e-9)
    model = mujoco.MjModel.from_xml_path(str(file))
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    velocity = np.zeros(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, 1, velocity, 1)
    np.testing.assert_allclose(plant.odometry("free")[7:], velocity[[3, 4, 5, 0, 1, 2]], atol=1e-9)


def test_a_keyframe_that_is_not_in_the_file_is_named():
    pytest.importorskip("mujoco")
    file = ROOT / "models" / "quadruped.xml"
    with pytest.raises(ConfigurationError, match=r"'start' is 'hom', allowed: .* home, lying"):
        MujocoPlant(file, "hom")


def spin_until(node, condition):
    """Spin a node until a condition holds; fail after two minutes."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    end = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < end, "timed out"
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()


def test_a_floating_robot_publishes_joint_states_and_odometry(make, observer):
    pytest.importorskip("mujoco")
    node = make(plant="mujoco", model_file="quadruped.xml", start="home", rate=50.0)
    odometry = observer.listen(Odometry, "odom")
    joints = observer.listen(JointState, "joint_states")
    spin_until(node, lambda: odometry and joints)
    message = odometry[0][1]
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "trunk")
    assert message.pose.pose.position.z == pytest.approx(0.3, abs=0.05)
    assert message.pose.pose.orientation.w == pytest.approx(1.0, abs=0.05)
    assert len(joints[0][1].name) == 12
    assert stamp_of(message.header) == stamp_of(joints[0][1].header)


def test_a_floating_robot_is_pushed_by_a_topic(make, observer):
    pytest.importorskip("mujoco")
    node = make(plant="mujoco", model_file="quadruped.xml", start="home", rate=50.0)
    odometry = observer.listen(Odometry, "odom")
    pusher = node.create_publisher(Vector3, "push", 1)
    spin_until(node, lambda: pusher.get_subscription_count() and odometry)
    pusher.publish(Vector3(x=math.nan))  # It is dropped.
    pusher.publish(Vector3(y=40.0))
    spin_until(node, lambda: odometry[-1][1].pose.pose.position.y > 0.1)


def test_a_simulation_that_becomes_unstable_is_told(make, tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "slider.xml"
    stiff = '<velocity name="push" joint="slide" kv="100000"/>'
    file.write_text(SLIDER.replace('<motor name="push" joint="slide"/>', stiff))
    node = make(plant="mujoco", model_file=str(file))
    pusher = node.create_publisher(Float64MultiArray, "effort", 1)
    said = []

    def is_told():
        pusher.publish(Float64MultiArray(data=[1.0]))
        said.append(capfd.readouterr().err)
        return "the simulation became unstable and began again" in "".join(said)

    spin_until(node, is_told)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slider.xml"]  # No log of MuJoCo.


def test_the_odometry_of_a_floating_robot_is_on_the_topic_of_the_planner(
    make, write_yaml, drive, capfd
):
    pytest.importorskip("mujoco")
    planner = {"state.type": "nav_msgs/msg/Odometry", "state.topic": "base/odom"}
    planner |= {"command.type": "std_msgs/msg/Float64MultiArray", "command.topic": "servos"}
    file = str(write_yaml({**drive, **planner}))
    topics = topics_of(make(plant="mujoco", model_file="quadruped.xml", planner_file=file))
    assert {"/base/odom", "/joint_states", "/servos"} <= topics
    assert "WARN" not in capfd.readouterr().err


PUPPET = """<mujoco><compiler angle="radian"/><option gravity="0 0 0"/>
  <default><geom contype="0" conaffinity="0"/><joint damping="0.1"/></default><worldbody>
  <body name="hand" mocap="true" pos="0 0 1"/>
  <body name="box" pos="0 0 1"><freejoint name="box"/><geom size="0.1" mass="0.1"/>
    <body name="head"><joint name="my neck" type="ball"/><geom size="0.05" pos="0 0 0.2"/></body>
    <body name="tail"><joint name="tail" type="ball"/><geom size="0.02" pos="0 0 -0.2"/></body>
    <body name="arm"><joint name="arm" range="-1 1"/><geom size="0.02" pos="0.2 0 0"/></body>
  </body></worldbody>
  <equality><weld body1="hand" body2="box"/></equality>
  <actuator><motor name="bend" joint="arm" ctrlrange="-1 1"/></actuator>
  <keyframe><key name="bowed" qpos="0 0 1 1 0 0 0 0.8 0.6 0 0 1 0 0 0 0.5"/></keyframe></mujoco>"""


@pytest.fixture
def puppet(tmp_path, write_yaml):
    """The file of a robot with ball joints that a mocap body carries, and that of its planner."""
    pytest.importorskip("mujoco")
    file = tmp_path / "puppet.xml"
    file.write_text(PUPPET)
    text, _ = of_file(str(file), measure=lambda planner: IterationTime(0.0))
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    values["dynamics"]["mocap_topics"] = ["hand: /hand_pose"]
    planner = tmp_path / "puppet.yaml"
    planner.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    return file, planner


def test_every_joint_is_published_as_its_planner_reads_it(make, puppet, observer, capfd):
    file, planner = puppet
    node = make(plant="mujoco", model_file=str(file), planner_file=str(planner), start="bowed")
    configuration = configure(load_yaml(planner) | {"planner.device": "cpu"})
    heard = {
        source.topic: observer.listen(message_class(source.type), source.topic)
        for source in configuration.sources
    }
    assert "/imu/my_neck" in topics_of(node)
    spin_until(node, lambda: all(heard.values()))
    state = {}
    for source in configuration.sources:
        read = state_reader(source.type, source.fields)
        state |= zip(source.fields, read(heard[source.topic][0][1]), strict=True)
    assert set(state) == set(configuration.dynamics.state_names)
    neck = [state[f"my neck_{part}"] for part in ("qw", "qx", "qy", "qz")]
    assert neck == pytest.approx([0.8, 0.6, 0.0, 0.0], abs=0.05)
    assert state["arm"] == pytest.approx(0.5, abs=0.05)
    said = capfd.readouterr().err
    assert "states per second on '/joint_states', '/odom', '/imu/my_neck', '/imu/tail'" in said
    # On a slow machine it also says that nobody moves the hand.
    warned = [line for line in said.splitlines() if "WARN" in line]
    assert not [line for line in warned if "no reference on '/hand_pose'" not in line]


def test_a_mocap_body_goes_where_its_topic_has_it(make, puppet, observer, capfd):
    file, planner = puppet
    node = make(plant="mujoco", model_file=str(file), planner_file=str(planner))
    odometry = observer.listen(Odometry, "odom")
    spin_until(node, lambda: "no reference on '/hand_pose' yet" in capfd.readouterr().err)
    message = PoseStamped()
    message.pose.position.z, message.pose.orientation.w = 1.5, 1.0
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    observer.node.create_publisher(PoseStamped, "hand_pose", latched).publish(message)
    spin_until(node, lambda: odometry and abs(odometry[-1][1].pose.pose.position.z - 1.5) < 0.05)


def simulator(start, write_yaml, drive, *parameters):
    file = write_yaml(drive)
    options = (
        "plant:=model",
        f"planner_file:={file}",
        *parameters,
    )
    return start("simulator", *(word for option in options for word in ("-p", option)))


@pytest.fixture
def make(context):
    """A function that makes a simulator node in this process; parameters by name."""
    made = []

    def make_node(**values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        made.append(SimulatorNode(parameter_overrides=overrides))
        return made[-1]

    yield make_node
    for node in made:
        node.destroy_node()


def topics_of(node):
    published = {publisher.topic_name for publisher in node.publishers}
    return published | {subscription.topic_name for subscription in node.subscriptions}


def test_topics_are_those_of_the_planner_s_file(make, write_yaml, drive, capfd):
    topics = {"state.topic": "~/where", "command.topic": "/motors"}
    file = str(write_yaml(drive | topics))
    topics = topics_of(make(plant="model", planner_file=file))
    assert {"/cem_planner/where", "/motors"} <= topics
    assert "WARN" not in capfd.readouterr().err
    topics = topics_of(make(plant="model", planner_file=file, command_topic="wheels"))
    assert {"/cem_planner/where", "/wheels"} <= topics
    assert (
        f"command_topic is 'wheels', but command.topic of the planner in {file} is '/motors'"
        in capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"plant": "modell"}, "one of mujoco, model, robot, did you mean 'model'?"),
        ({"rate": "fast"}, "parameter 'rate' is 'fast', allowed: a finite number"),
        ({"plant": "model"}, "needs the parameter 'planner_file'"),
    ],
)
def test_wrong_values_are_refused(values, text, make):
    with pytest.raises(ConfigurationError) as caught:
        make(**values)
    assert text in str(caught.value)


def test_what_is_ignored_is_told(make, write_yaml, drive, capfd):
    file = str(write_yaml(drive))
    make(plant="model", planner_file=file, world="rooms", lateny=0.1, rate=20)
    said = capfd.readouterr().err
    assert "'world' is ignored: it is for the plant robot, and plant is model" in said
    assert "'lateny' is ignored: it is unknown, did you mean 'latency'?" in said
    assert said.count("is ignored") == 2


def test_a_wrong_command_line_starts_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simulator_node", "my.yaml"])
    assert process.simulator() == 2
    assert "expected: simulator_node --ros-args --params-file my.yaml" in capsys.readouterr().err


def test_a_file_that_is_not_for_the_simulator_ends_it_with_the_path(start, write_yaml, tmp_path):
    file = tmp_path / "other.yaml"
    file.write_text("other: {ros__parameters: {rate: 20.0}}")
    process = start("simulator", "--params-file", file)
    assert process.popen.wait(120.0) == 1
    assert f"{file}: no section for the node 'simulator'" in process.output()
    assert process.output().startswith("simulator_node: starting")


def test_the_motor_stops_when_commands_stop(observer, start, write_yaml, drive, wait_until):
    # So long that a busy machine does not keep it from being followed.
    simulator(start, write_yaml, drive, "command_timeout:=2.0")
    states = observer.listen(Float64MultiArray, "state")
    publisher = observer.node.create_publisher(Float64MultiArray, "command", 1)
    wait_until(lambda: states and publisher.get_subscription_count())
    publisher.publish(Float64MultiArray(data=[1.0, 0.0]))
    wait_until(lambda: states[-1][1].data[2] > 0.1)

    def coasts():
        """Whether the speed has been the same for some time."""
        return len({message.data[2] for _, message in states[-20:]}) == 1

    wait_until(coasts)
    speed = states[-1][1].data[2]
    # One command works for the timeout of 2 s, or one step of at most 0.1 s longer.
    assert 0.1 < speed < 2.11
    publisher.publish(Float64MultiArray(data=[math.nan, 0.0]))
    publisher.publish(Float64MultiArray(data=[1.0]))
    time.sleep(0.2)
    assert states[-1][1].data[2] == speed


def test_states_come_at_their_rate_delayed_and_noisy_as_told(
    observer, start, write_yaml, drive, wait_until
):
    simulator(
        start,
        write_yaml,
        drive,
        "rate:=50.0",
        "process_noise:=0.5",
        "latency:=0.3",
        "real_time_factor:=0.5",
        "start:='0.0 0.0 1.0 0.0'",
    )
    states = observer.listen(Float64MultiArray, "state")
    wait_until(lambda: len(states) > 60)

    def as_told():
        """Whether rate and speed are those asked for, which a simulator held up attains later."""
        received = list(states)
        (first, start_), (last, end) = received[5], received[-1]
        rate = (len(received) - 6) / (last - first)
        speed = (end.data[0] - start_.data[0]) / (last - first)
        return (rate, speed) == pytest.approx((50.0, 0.5), rel=0.25)

    wait_until(as_told)
    assert len({message.data[3] for _, message in states}) > 30


def test_a_robot_drives_sees_and_tells_what_it_touches(observer, start, wait_until):
    pytest.importorskip("mujoco")
    file = ROOT / "config" / "drive_simulator.yaml"
    world = f"world:={ROOT / 'worlds' / 'rooms.xml'}"
    process = start("simulator", "--params-file", file, "-p", world)
    poses, scans = observer.listen(Odometry, "odom"), observer.listen(LaserScan, "scan")
    touches = observer.listen(Bool, "touched")
    publisher = observer.node.create_publisher(TwistStamped, "cmd_vel", 1)
    wait_until(lambda: len(scans) > 20 and publisher.get_subscription_count())

    def rate_of(messages):
        first, *_, last = [stamp_of(message) for _, message in messages]
        return (len(messages) - 1) / (last - first)

    wait_until(lambda: rate_of(list(poses)) == pytest.approx(50.0, rel=0.25))
    wait_until(lambda: rate_of(list(scans)) == pytest.approx(10.0, rel=0.25))
    pose, scan = poses[-1][1], scans[-1][1]
    assert (pose.header.frame_id, pose.child_frame_id) == ("odom", "base_link")
    assert scan.header.frame_id == "lidar"
    # Of two topics, any may be the first to come.
    wait_until(lambda: scan.header.stamp in [message.header.stamp for _, message in list(poses)])
    assert len(scan.ranges) == 360
    assert scan.angle_max == pytest.approx(scan.angle_min + 359 * scan.angle_increment, abs=1e-5)
    # The western wall is 0.95 m behind.
    assert scan.ranges[0] == pytest.approx(0.95, abs=0.05)

    def back():
        publisher.publish(_twist(-0.35))
        time.sleep(0.05)
        return any(message.data for _, message in touches)

    wait_until(back)
    assert "the robot touched west" in process.output()
    # Without a command it stops.
    wait_until(lambda: abs(poses[-1][1].twist.twist.linear.x) < 0.01)
    late = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    observer.node.create_subscription(Bool, "touched", late.append, latched)
    wait_until(lambda: late)
    assert late[0].data


def test_where_pedestrians_walk_the_simulator_tells_of_them(observer, make, wait_until):
    pytest.importorskip("mujoco")
    world = str(ROOT / "worlds" / "crossing.xml")
    told = observer.listen(PointCloud2, "moving_obstacles")
    with spinning(make(plant="robot", world=world, rate=50.0)):
        wait_until(lambda: len(told) > 3)
    (one, other) = (told[index][1] for index in (-2, -1))
    assert one.header.frame_id == "odom"
    assert one.width == 5
    assert [field.name for field in one.fields] == ["x", "y", "vx", "vy", "radius"]
    assert stamp_of(other) > stamp_of(one)
    assert one.data != other.data
    assert "/moving_obstacles" not in topics_of(
        make(plant="robot", world=str(ROOT / "worlds" / "rooms.xml"))
    )


def _twist(speed):
    message = TwistStamped()
    message.twist.linear.x = speed
    return message


def test_a_world_that_is_not_there_is_said_so(start, wait_until):
    pytest.importorskip("mujoco")
    process = start("simulator", "-p", "plant:=robot", "-p", "world:=moon")
    assert process.popen.wait(120.0) == 1
    assert "error: world 'moon' does not exist" in process.output()
