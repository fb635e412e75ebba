# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Kernels around the time steps of MuJoCo Warp; imported only where Warp is installed.

A world simulates one candidate. A rollout begins with `begin`. Each time step is `control`, `move`,
the step of MuJoCo Warp, and `record`.
"""
# mypy: ignore-errors
# This is the language of Warp, whose types are not those of Python.

import warp as wp

wp.set_module_options({"enable_backward": False})


@wp.kernel
def begin(
    state: wp.array2d[float],
    durations: wp.array[float],
    time_step: wp.float64,
    extra: int,
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    act: wp.array2d[float],
    warm_start: wp.array2d[float],
    time: wp.array[float],
    overflow: wp.array[int],
    ends: wp.array[int],
    ticks: wp.array[int],
    place: wp.array[int],
    failed: wp.array[int],
    signals: wp.array3d[float],
    status: wp.array[int],
):
    """Bring a world to its first state; the first world also counts the time steps."""
    world = wp.tid()
    nq, nv, na = qpos.shape[1], qvel.shape[1], act.shape[1]
    for i in range(nq):
        qpos[world, i] = state[i, world]
    for i in range(nv):
        qvel[world, i] = state[nq + i, world]
        warm_start[world, i] = 0.0
    for i in range(na):
        act[world, i] = state[nq + nv + i, world]
    time[world] = 0.0
    overflow[world] = 0
    ticks[world] = 0
    place[world] = 0
    failed[world] = 0
    for step in range(signals.shape[0]):
        for row in range(signals.shape[1]):
            signals[step, row, world] = wp.nan
    if world == 0:
        total, rounded, end = wp.float64(0.0), wp.float64(0.0), wp.int32(0)
        for step in range(durations.shape[0]):
            total += wp.float64(durations[step]) / time_step
            after = wp.rint(total)
            end += wp.max(1, int(after - rounded))
            rounded = after
            ends[step] = end
        status[0] = end + extra
        status[1] = 0


@wp.kernel
def control(
    sequence: wp.array3d[float],
    actuators: wp.array[int],
    place: wp.array[int],
    ctrl: wp.array2d[float],
):
    """Apply the action of the model step in which a world is."""
    world, action = wp.tid()
    step = wp.min(place[world], sequence.shape[0] - 1)
    ctrl[world, actuators[action]] = sequence[step, action, world]


@wp.kernel
def move(
    poses: wp.array3d[float],
    ticks: wp.array[int],
    mocap_pos: wp.array2d[wp.vec3],
    mocap_quat: wp.array2d[wp.quat],
):
    """Put a mocap body where it is in the time step in which a world is."""
    world, body = wp.tid()
    tick = wp.min(ticks[world], poses.shape[0] - 1)
    mocap_pos[world, body] = wp.vec3(
        poses[tick, body, 0], poses[tick, body, 1], poses[tick, body, 2]
    )
    mocap_quat[world, body] = wp.quat(
        poses[tick, body, 3], poses[tick, body, 4], poses[tick, body, 5], poses[tick, body, 6]
    )


@wp.func
def _is_wrong(values: wp.array2d[float], world: int, huge: float):
    wrong = wp.bool(False)
    for i in range(values.shape[1]):
        if not (wp.abs(values[world, i]) < huge):  # NaN is not less than anything.
            wrong = True
    return wrong


@wp.kernel
def record(
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    qacc: wp.array2d[float],
    act: wp.array2d[float],
    sensors: wp.array2d[float],
    kinds: wp.array[int],
    overflow: wp.array[int],
    serious: int,
    huge: float,
    ends: wp.array[int],
    ticks: wp.array[int],
    place: wp.array[int],
    failed: wp.array[int],
    signals: wp.array3d[float],
    status: wp.array[int],
):
    """Note the signals after a time step, if a model step ends; what failed stays NaN."""
    world = wp.tid()
    nq, nv, na = qpos.shape[1], qvel.shape[1], act.shape[1]
    nx = nq + nv + na
    # Without int() these would be read anew where they are used.
    step, tick, horizon = int(place[world]), int(ticks[world]), ends.shape[0]
    begin = wp.int32(0)
    if step > 0:
        begin = ends[step - 1]
    # The sensors of positions and velocities are those of the state before the time step.
    if step > 0 and tick == begin and failed[world] == 0:
        for i in range(kinds.shape[0]):
            if kinds[i] == 0:
                signals[step - 1, nx + i, world] = sensors[world, i]
    ticks[world] = tick + 1
    if step >= horizon or failed[world] != 0:
        return
    beyond = overflow[world] & serious
    if beyond != 0:
        wp.atomic_or(status, 1, beyond)
    if (
        beyond != 0
        or _is_wrong(qpos, world, huge)
        or _is_wrong(qvel, world, huge)
        or _is_wrong(qacc, world, huge)
    ):
        failed[world] = 1
        for i in range(kinds.shape[0]):
            signals[step, nx + i, world] = wp.nan
        return
    is_end = tick + 1 == ends[step]
    for i in range(kinds.shape[0]):
        value = sensors[world, i]
        if kinds[i] == 2 and tick > begin:
            value = wp.max(value, signals[step, nx + i, world])
        if kinds[i] == 2 or (kinds[i] == 1 and is_end):
            signals[step, nx + i, world] = value
    if is_end:
        for i in range(nq):
            signals[step, i, world] = qpos[world, i]
        for i in range(nv):
            signals[step, nq + i, world] = qvel[world, i]
        for i in range(na):
            signals[step, nq + nv + i, world] = act[world, i]
        place[world] = step + 1
