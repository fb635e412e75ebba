"""
Compiling the search for the CPU: whole iterations in C++.

The step of the model and of the costs is traced once into a graph of PyTorch operations
(`make_fx`). Every operation on (rows, N) is written as C++ on scalars inside a loop over a block of
samples, which g++ vectorises; the state of the block stays in the cache over the whole horizon.
That is the rollout (`rollout.cpp`). Sampling, bounds and refitting around it (`search.cpp`) are the
same for every model with as many actions, so they are a library of their own: it takes longer to
compile than a rollout, but only once. H, N and P are arguments, so changing them compiles nothing,
and the numbers of plugins are read through pointers, so tuning them compiles nothing either.

Only what keeps samples apart can be written this way. Anything else raises `UnsupportedError`,
whose text says what it was.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shlex
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from cem_planner_ros.compile.translate import (
    LANES,
    Translator,
    UnsupportedError,
    Value,
    rows_of,
)
from cem_planner_ros.planning.actuators import INSTANT, Actuators
from cem_planner_ros.planning.particles import RISKS
from cem_planner_ros.planning.rollout import Rollout

BLOCK = 64
"""Samples that run through the horizon together. A multiple of every vector length in use."""

TILE = 8
"""Rows of a factor that are multiplied together, so that their sums stay in registers."""

COMPILER_FLAGS = (
    "-std=c++14 -O3 -march=native -fopenmp -fPIC -shared "
    "-fno-math-errno -fno-trapping-math -ffp-contract=fast -freciprocal-math -fno-tree-pre"
).split()
"""
No -ffast-math: a NaN must stay a NaN, or an invalid candidate would not be seen. With
-freciprocal-math a division by a parameter of the model is a product in the loop.
"""
if platform.machine() in ("x86_64", "AMD64"):
    # Where there is AVX-512, g++ would take half of it.
    COMPILER_FLAGS.append("-mprefer-vector-width=512")


class Arguments(ctypes.Structure):
    """The struct Arguments of kernel.h, field by field."""

    def set(self, **values: int | float | torch.Tensor) -> None:
        """
        Set fields; of a tensor its address, and the tensor is kept alive with the struct.

        Tensors are contiguous and of the type that the struct says, float32 but for a few.
        """
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                kind = self.KINDS.get(name, torch.float32)
                if not (value.is_contiguous() and value.dtype == kind):
                    raise TypeError(f"{name} must be contiguous and {kind}")
                self.__dict__.setdefault("tensors", {})[name] = value
                value = value.data_ptr()
            setattr(self, name, value)

    KINDS: ClassVar = {
        "samples": torch.int64,
        "explorers": torch.int64,
        "first": torch.int64,
        "use": torch.bool,
        "precision": torch.float64,
        "spent": torch.float64,
    }

    _fields_ = (
        [("roll_out", ctypes.c_void_p)]
        + [
            (name, ctypes.c_long)
            for name in ("horizon knots order modes begin end stride elites kept slots").split()
        ]
        + [(name, ctypes.c_int) for name in "weighting truncate threads".split()]
        + [("risk", ctypes.c_int)]
        + [(name, ctypes.c_long) for name in "members count tail".split()]
        + [(name, ctypes.c_float) for name in "std_factor control_cost".split()]
        + [(name, ctypes.c_uint32) for name in "seed plan".split()]
        + [("until", ctypes.c_double)]
        + [
            (name, ctypes.c_void_p)
            for name in (
                "samples explorers state before applied lag durations first basis factor "
                "precision noise "
                "numbers temperature momentum low high step_reach first_reach std_initial std_min "
                "use mean std injected best_cost candidates costs control ranks states spent"
            ).split()
        ]
    )


class Kernel:
    """
    What a rollout is compiled into: whole iterations, and the bare rollout, on the CPU.

    Raises UnsupportedError if the model or a cost cannot be translated or no compiler works.
    """

    def __init__(self, rollout: Rollout):
        members, particles = rollout.dynamics.members, rollout.particles
        traced = rollout
        if members > 1:
            if rollout.dynamics.member is None:
                raise UnsupportedError("the model has members, which run side by side in PyTorch")
            if particles.propagation != "all":
                raise UnsupportedError(f"candidates run through members as {particles.propagation}")
            traced = Rollout(rollout.dynamics.member, rollout.costs, rollout.dt)
        header = _HEADER.read_text()
        shared = {"NU": len(traced.dynamics.action_names), "INSTANT": INSTANT}
        shared |= {"BLOCK": BLOCK, "TILE": TILE}
        with ThreadPoolExecutor(1, "compiler") as pool:  # While Python is tracing.
            search = pool.submit(_compile, header + fill(_SEARCH, shared, {}))
            sizes, parts, self._numbers = step_code(traced)
            model = _compile(header + fill(_ROLLOUT, shared | sizes, parts))
        self.shape = sizes["NX"], sizes["NU"]
        search = search.result()
        self.search, self._rollout = search.search, search.rollout
        for function in (self.search, self._rollout):
            function.argtypes = [ctypes.POINTER(Arguments)]
        self.search.restype, self._rollout.restype = ctypes.c_long, None
        self.refresh = rollout.dynamics.refresh if members > 1 else lambda: None
        rows = [self._numbers]
        if members > 1:
            rows = [rollout.dynamics.variant(p, self._numbers) for p in range(members)]
        pointers = [number.data_ptr() for row in rows for number in row]
        self._pointers = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        self._always = {
            "roll_out": ctypes.cast(model.roll_out, ctypes.c_void_p).value,
            "members": members,
            "count": len(self._numbers),
            "risk": RISKS.index(particles.risk),
            "tail": particles.tail(members),
            "std_factor": particles.std_factor,
        }
        compare(rollout, self.rollout, torch.device("cpu"))

    def rollout(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
        threads: int = 1,
    ) -> torch.Tensor:
        """Return what `Rollout.__call__` returns; float32 on the CPU."""
        horizon, nu, samples = sequence.shape
        stride = padded(samples)
        candidates = torch.zeros(horizon, nu, stride)
        candidates[..., :samples] = sequence
        costs = torch.empty(stride)
        arguments = self.arguments(
            horizon=horizon,
            knots=horizon,
            stride=stride,
            threads=threads,
            state=state,
            before=previous_action,
            durations=durations,
            first=torch.arange(horizon),
            candidates=candidates,
            costs=costs,
            **({} if actuators is None else actuators._asdict()),
        )
        self.roll_out(arguments)
        return costs[:samples]

    def roll_out(self, arguments: Arguments) -> None:
        """Write costs and states of the candidates that arguments hold."""
        self.refresh()
        self._rollout(arguments)

    def arguments(self, **values: int | float | torch.Tensor) -> Arguments:
        """Return arguments of the library, with those of `values` set; the rest is zero."""
        result = Arguments(numbers=ctypes.addressof(self._pointers), **self._always)
        result.set(**values)
        return result


class Trajectory:
    """
    The states that action sequences lead through, as `Rollout.predict`; BLOCK of them at most.

    What it reads and writes is allocated once, so that predicting takes little time.
    """

    def __init__(self, kernel: Kernel, horizon: int):
        self._kernel = kernel
        nx, nu = kernel.shape
        state, before, durations = torch.zeros(nx), torch.zeros(nu), torch.zeros(horizon)
        candidates, states = (
            torch.zeros(*shape, BLOCK) for shape in ((horizon, nu), (horizon + 1, nx))
        )
        self._arguments = kernel.arguments(
            horizon=horizon,
            knots=horizon,
            stride=BLOCK,
            threads=1,
            state=state,
            before=before,
            durations=durations,
            first=torch.arange(horizon),
            candidates=candidates,
            costs=torch.zeros(BLOCK),
            states=states,
        )
        # The same memory.
        self._state, self._durations, self._states = (
            tensor.numpy() for tensor in (state, durations, states)
        )
        self._actions = candidates.numpy()

    def __call__(self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """
        Return the states (H + 1, nx) for state (nx,), actions (H, nu) and durations (H,), s.

        For actions (H, nu, n) they are (H + 1, nx, n).
        """
        used = slice(actions.shape[2]) if actions.ndim == 3 else 0
        self._state[:], self._actions[..., used], self._durations[:] = state, actions, durations
        self._kernel.roll_out(self._arguments)
        return self._states[..., used].astype(np.float64)


def padded(samples: int) -> int:
    """Return the length of a row of candidates, a whole number of blocks."""
    return -(-samples // BLOCK) * BLOCK


def tiled(factor: torch.Tensor) -> torch.Tensor:
    """Return factors (nu, P, P) of noise as the library reads them: (nu, tiles of P, P, TILE)."""
    actions, knots, _ = factor.shape
    tiles = -(-knots // TILE)
    rows = torch.zeros(actions, tiles * TILE, knots)
    rows[:, :knots] = factor
    return rows.view(actions, tiles, TILE, knots).transpose(2, 3).contiguous()


def compare(rollout: Rollout, other: Callable[..., torch.Tensor], device: torch.device) -> None:
    """
    Raise UnsupportedError if `other` does not compute what `rollout` does in PyTorch.

    A plugin that reads a number in Python, or the count of samples, is traced with what it read
    then; other numbers and counts show it.
    """
    numbers = [
        number for plugin in (rollout.dynamics, *rollout.costs) for number in plugin.number_tensors
    ]
    before = [number.clone() for number in numbers]
    nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
    generator = torch.Generator().manual_seed(0)
    for scale, samples in ((1.0, BLOCK + 3), (1.25, 7)):
        state = torch.randn(nx, generator=generator)
        sequence = torch.randn(3, nu, samples, generator=generator)
        durations = torch.full((3,), rollout.dt) * torch.tensor([0.7, 1.0, 1.0])
        lag = 0.1 * torch.arange(nu)  # None, and some.
        given = (state, sequence, sequence[0, :, 0].contiguous(), durations)
        given = tuple(tensor.to(device) for tensor in given)
        given += (Actuators(lag.to(device), given[2]),)
        try:
            for number in numbers:
                number.mul_(scale).add_(scale - 1.0)  # Zero has to change too.
            with torch.no_grad():
                expected = rollout(*given)
                got = other(*given)
        finally:
            for number, value in zip(numbers, before, strict=True):
                number.copy_(value)
        same = torch.isclose(got, expected, rtol=1e-2, atol=1e-3)
        same |= ~torch.isfinite(got) & ~torch.isfinite(expected)
        if not same.all():
            raise UnsupportedError(
                "the kernel and PyTorch disagree: does a plugin read a number or a size in "
                "Python (item, float, int, shape), or keep a state of its own? Or is dt so long "
                "that rounding grows?"
            )


def fill(template: Path, sizes: dict[str, int | float], parts: dict[str, str]) -> str:
    """Return the text of a source file with sizes defined before it and code put into it."""
    text = "".join(f"#define {name} {size}\n" for name, size in sizes.items())
    text += template.read_text()
    for name, code in parts.items():
        text = text.replace(f"/* {name} */", code)
    return text


def step_code(
    rollout: Rollout, device: torch.device | str = "cpu"
) -> tuple[dict[str, int | float], dict[str, str], list[torch.Tensor]]:
    """
    Return sizes (NX, NU, INSTANT), the code of NUMBERS, STEP and TERMINAL, and `numbers`.

    Raises UnsupportedError if the model or a cost has no translation.
    """
    if rollout.dynamics.members > 1:
        raise UnsupportedError("the model has members, which run side by side in PyTorch")
    nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
    numbers: list[torch.Tensor] = []

    def lanes(name: str, rows: int) -> Value:
        return Value(rows_of([f"{name}[{i}][lane]" for i in range(rows)], (rows,)), lanes=True)

    def example(*shape: int) -> torch.Tensor:
        return torch.rand(shape, device=device)

    state, applied = lanes("state", nx), lanes("applied", nu)
    action, previous = lanes("action", nu), lanes("previous", nu)
    time, duration = (Value(rows_of([name], ()), lanes=False) for name in ("time", "duration"))
    examples = [example(nx, LANES), *(example(nu, LANES) for _ in range(3)), example(), example()]

    step = Translator(numbers)
    next_state, cost = step.translate(
        rollout.step, [state, applied, action, previous, time, duration], examples
    )
    terminal = Translator(numbers)
    last = terminal.translate(rollout.terminal, [state], examples[:1])
    for what, value, shape in (
        ("dynamics.step returned", next_state, (nx,)),
        ("the stage costs are", cost, ()),
        ("the terminal costs are", last, ()),
    ):
        if value.rows.shape != shape:
            raise UnsupportedError(f"{what} of the wrong shape, expected {(*shape, 'N')}")
    # A model may only move its states about, so all are read before any is written.
    moves = [f"const float next{i} = {row};" for i, row in enumerate(next_state.rows)]
    moves += [f"state[{i}][lane] = next{i};" for i in range(nx)]
    moves += [f"previous[{i}][lane] = action[{i}][lane];" for i in range(nu)]
    code = "\n".join([*step.lines, *terminal.lines, cost.rows.item(), last.rows.item(), *moves])
    read = dict.fromkeys(re.findall(r"\bn(\d+)_(\d+)\b", code))
    parts = {
        # Read in a branch, a number would keep the loop from being vectorised.
        "NUMBERS": "\n".join(f"const float n{i}_{j} = numbers[{i}][{j}];" for i, j in read),
        "STEP": "\n".join([*step.lines, f"cost[lane] += {cost.rows.item()};", *moves]),
        "TERMINAL": "\n".join([*terminal.lines, f"cost[lane] += {last.rows.item()};"]),
    }
    return {"NX": nx, "NU": nu, "INSTANT": INSTANT}, parts, numbers


_HEADER, _ROLLOUT, _SEARCH = (
    Path(__file__).with_name(name) for name in ("kernel.h", "rollout.cpp", "search.cpp")
)


def _cache_directory() -> Path:
    """Return where libraries are kept: of the user, or of this process where that cannot be."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = root / "cem_planner_ros" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: a user without a home.
        pass
    return _own_directory()


@functools.cache
def _own_directory() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="cem_planner_ros_")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _processor() -> str:
    """What decides on the code that -march=native makes."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    except OSError:
        return platform.processor()


def _compiler() -> list[str]:
    """Return the command in CXX, which may have arguments, as `ccache g++`."""
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def has_compiler() -> bool:
    """Return whether there is a C++ compiler."""
    return shutil.which(_compiler()[0]) is not None


def _is_whole(library: Path) -> bool:
    """Return whether a library has all of its sections; loading a part can end the process."""
    with library.open("rb") as file:
        header = file.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        return True  # Of another system, whose loader has to know.
    if len(header) < 64:
        return False
    # e_shoff, e_shentsize and e_shnum of an ELF header: the table of sections ends the file.
    sections, size, count = struct.unpack_from("<Q10xHH", header, 40)
    return library.stat().st_size >= sections + size * count


def _compile(source: str) -> ctypes.CDLL:
    """Return the loaded library of `source`, from the cache if it was compiled here before."""
    compiler = _compiler()
    if not has_compiler():
        raise UnsupportedError(f"no C++ compiler '{compiler[0]}' on the path")
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
    recipe = "\n".join((source, *compiler[1:], *COMPILER_FLAGS, version, _processor()))
    library = _cache_directory() / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.so"
    try:
        if library.exists():
            with contextlib.suppress(OSError):
                if _is_whole(library):
                    return ctypes.CDLL(str(library))
            library.unlink()  # Cut short by a full disk, say.
        _build(compiler, source, library)
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UnsupportedError(f"the kernel cannot be written or loaded: {error}") from error


def _build(compiler: list[str], source: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, result = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        code.write_text(source)
        run = subprocess.run(
            [*compiler, *COMPILER_FLAGS, "-o", str(result), str(code)],
            capture_output=True,
            text=True,
            # Ctrl-C is for this process; it waits the second that the compiler needs.
            start_new_session=True,
        )
        if run.returncode != 0:
            raise UnsupportedError(f"{compiler[0]} failed: {run.stderr.strip()[-500:]}")
        # A rename is atomic: another process sees no library or a whole one, and after a power
        # failure, thanks to the fsync, too.
        with result.open("rb") as file:
            os.fsync(file.fileno())
        result.replace(library)
