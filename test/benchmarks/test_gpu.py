# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import json

import pytest
import torch

from cem_planner_ros.benchmarks import gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert gpu.main(["--json", str(tmp_path / "gpu.json")]) == 1
    assert "no CUDA device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_is_noted_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    def fails():
        raise RuntimeError("the GPU is gone")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu.machine, "describe", dict)
    monkeypatch.setattr(gpu, "parts", lambda quick, say: {"one": fails, "two": lambda: [1.5]})
    file = tmp_path / "gpu.json"
    assert gpu.main(["--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert "the GPU is gone" in found["one"]["failed"]
    assert found["two"] == [1.5]


@pytest.mark.parametrize("kind", gpu.FAILURES)
def test_what_lets_a_gpu_fail_is_python(kind):
    compile(gpu.FAILING.format(failure=gpu.FAILURES[kind]), kind, "exec")
