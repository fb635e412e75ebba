# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A model from a file: a network, or any other PyTorch function."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError, first_line
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

NEEDED = ("state_names", "action_names", "action_low", "action_high", "dt")
OPTIONAL = ("action_units", "angle_names", "position_names")

CONVERT = "Call float() on the network before it is exported, and export it with float32 examples"


class Exported(Dynamics):
    """
    A function (state, action) -> next state from a file, with a JSON file beside it.

    FILE.pt2 is a program of `torch.export`, FILE.pt a program of TorchScript. The shapes are (nx,
    N), (nu, N) and (nx, N). N must be free: a prediction uses N = 1, a plan N = planner.samples.
    Floating-point weights, buffers and constants that are not float32 are converted when the file
    is loaded. FILE.json has state_names, action_names, action_low, action_high, dt (s, between
    state and next state) and optionally action_units, angle_names and position_names. For a step of
    another length, the change of the state is scaled with the length. Which files can be trusted:
    docs/models_from_files.md.

    Raises ConfigurationError if a file cannot be read or has the wrong content.
    """

    parameters = (Parameter("file", "", "The .pt2 or .pt file of the model.", when=INACTIVE),)

    file: str
    dt: float
    """Time between a state and the next state, s."""

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        file = find(self.file)
        for name, value in _description(file.with_suffix(".json")).items():
            setattr(self, name, value)
        self._function, self._unchecked = _functions(file, device)
        self._device = device

    def check(self) -> None:
        """Raise ConfigurationError also if the function does not return next states."""
        super().check()
        nx, nu = len(self.state_names), len(self.action_names)
        for samples in (2, 3, 1):
            given = f"a state ({nx}, {samples}) and an action ({nu}, {samples})"
            try:
                result = self._try(samples, torch.float32)
            except Exception as error:  # It may raise any error.
                self._refuse_type(samples)
                raise ConfigurationError(
                    f"file '{self.file}' cannot be called with a state ({nx}, N) and an action "
                    f"({nu}, N) for N = {samples} samples, expected that N is free: export it with "
                    f"dynamic_shapes ({type(error).__name__}: {first_line(error)})"
                ) from error
            if not isinstance(result, torch.Tensor) or result.shape != (nx, samples):
                came = getattr(result, "shape", type(result).__name__)
                came = tuple(came) if isinstance(came, torch.Size) else came
                raise ConfigurationError(
                    f"file '{self.file}' returns {came} for {given}, expected the next state "
                    f"({nx}, {samples})"
                )
            if result.dtype != torch.float32:
                raise ConfigurationError(
                    f"file '{self.file}' returns {result.dtype} for {given} of torch.float32, "
                    f"expected torch.float32. {CONVERT}"
                )

    def _try(self, samples: int, kind: torch.dtype) -> Any:
        """Return the function's result for zeros."""
        rows = len(self.state_names), len(self.action_names)
        given = (torch.zeros(row, samples, dtype=kind, device=self._device) for row in rows)
        with torch.no_grad():
            return self._function(*given)

    def _refuse_type(self, samples: int) -> None:
        """Raise ConfigurationError if the function takes another type than float32."""
        for kind in (torch.float64, torch.float16, torch.bfloat16):
            try:
                self._try(samples, kind)
            except Exception:  # It may raise any error.
                continue
            raise ConfigurationError(
                f"file '{self.file}' takes states and actions of {kind}, expected torch.float32. "
                f"{CONVERT}"
            )

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after `dt`, s; the change is proportional to `dt`."""
        # A trace has more samples than a file may be limited to; what is compiled takes any number.
        function = self._function if get_proxy_mode() is None else self._unchecked
        return state + dt / self.dt * (function(state, action) - state)


def _description(file: Path) -> dict[str, Any]:
    """Return the checked content of the JSON file, lists as tuples."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"file '{file}' cannot be read: {error}") from error
    if not isinstance(content, dict) or not set(NEEDED) <= set(content) <= {*NEEDED, *OPTIONAL}:
        holds = sorted(content) if isinstance(content, dict) else repr(content)[:80]
        raise ConfigurationError(
            f"file '{file}' holds {holds}, expected an object with "
            f"{', '.join(NEEDED)} and, if wanted, {', '.join(OPTIONAL)}"
        )
    try:
        dt = Parameter("dt", 0.1, "", unit="s", low=1e-6).check(content.pop("dt"))
    except ConfigurationError as error:
        raise ConfigurationError(f"file '{file}': {error}") from error
    for name, values in content.items():
        kind = (int, float) if name in ("action_low", "action_high") else str
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            word = "strings" if kind is str else "numbers"
            raise ConfigurationError(f"file '{file}': {name} is {values!r}, expected {word}")
    units = [""] * len(content["action_names"])
    content = {"action_units": units, "angle_names": [], "position_names": []} | content
    return {"dt": dt} | {name: tuple(values) for name, values in content.items()}


def _functions(
    file: Path, device: torch.device | str
) -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """Return the function in a file, and the same without a check of the number of samples."""
    try:
        if file.suffix != ".pt2":
            script = torch.jit.load(str(file), map_location=device).eval().float()
            return script, script
        _refuse_pickles(file)
        # torch.load reads older archives, and the examples in newer ones.
        with mock.patch.dict(os.environ, TORCH_FORCE_WEIGHTS_ONLY_LOAD="1"):
            program = torch.export.load(file)
        checked = _converted(program.module(), device)
        try:
            # Its hooks, which look at the sizes, are not called.
            return checked, _converted(program.module(check_guards=False), device).forward
        except TypeError:  # Of an older PyTorch, which always checks.
            return checked, checked
    except ConfigurationError:
        raise
    except Exception as error:  # For a broken file PyTorch may raise any error.
        raise ConfigurationError(
            f"file '{file}' cannot be loaded as a "
            f"{'torch.export program' if file.suffix == '.pt2' else 'TorchScript file'}: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


def _converted(module: torch.nn.Module, device: torch.device | str) -> torch.nn.Module:
    """Return the module on a device, its floating-point numbers float32."""
    for name, value in vars(module).items():  # Constants are no buffers.
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            setattr(module, name, value.float())
    return module.to(device).float()


def _refuse_pickles(file: Path) -> None:
    """Raise ConfigurationError if an archive has pickled objects, which could run any code."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not name.endswith("_config.json"):
                continue
            entries = json.loads(archive.read(name)).get("config", {})
            pickled = [key for key, entry in entries.items() if entry.get("use_pickle")]
            if pickled:
                raise ConfigurationError(
                    f"file '{file}' has the pickled object '{pickled[0]}', expected plain tensors: "
                    "unpickling may run any code"
                )
