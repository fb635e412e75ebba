# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Launching kernels and graphs through CUDA's driver, by its C interface.

Only what the search needs of it: the driver is there wherever PyTorch finds a GPU, whatever the
versions of both are.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable

import torch

from cem_planner_ros.compile import nvrtc
from cem_planner_ros.compile.writer import UnsupportedError

OUT_OF_MEMORY = 2
SHARED_SIZE = 8
"""CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"""
MOST_SHARED = 97
"""CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"""
RELAXED = 2
"""
CU_STREAM_CAPTURE_MODE_RELAXED: meanwhile any thread may allocate and free, also this one, whose
garbage may be a graph.
"""

USUAL_SHARED = 48 * 1024
"""Bytes that a block may share without asking for more."""

Launch = Callable[..., None]


class Gpu:
    """One GPU: what is compiled for it, launched on it and waited for."""

    def __init__(self, device: torch.device):
        self.device = device
        with torch.cuda.device(device):
            torch.cuda.init()
            self._index = torch.cuda.current_device()
        self.capability = torch.cuda.get_device_capability(self._index)
        self._driver = _library()
        number, self._context = ctypes.c_int(), ctypes.c_void_p()
        self._check(self._driver.cuDeviceGet(ctypes.byref(number), self._index))
        # The context that PyTorch has too.
        retained = self._driver.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), number)
        self._check(retained)
        most = ctypes.c_int()
        self._check(self._driver.cuDeviceGetAttribute(ctypes.byref(most), MOST_SHARED, number))
        self.most_shared = most.value
        """Bytes that a block may share at most."""
        # Graphs never run at the same time, so they may share memory.
        self._pool = torch.cuda.graph_pool_handle()

    def module(self, text: str) -> Module:
        """Return a text compiled and loaded; raises UnsupportedError if NVRTC refuses it."""
        self._enter()
        return Module(self, nvrtc.compiled(text, self.capability))

    def graph(
        self, enqueue: Callable[[], None], through_pytorch: bool = False
    ) -> Callable[[], None]:
        """
        Return a function that launches at once what `enqueue` launches.

        With `through_pytorch` it may call PyTorch too, which then keeps the memory of its tensors.
        """
        self._enter()
        aside = torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        if through_pytorch:
            recorded = torch.cuda.CUDAGraph()
            options = {"pool": self._pool, "capture_error_mode": "thread_local"}
            with torch.cuda.graph(recorded, stream=aside, **options):
                enqueue()
            return recorded.replay
        driver, graph, whole = self._driver, ctypes.c_void_p(), ctypes.c_void_p()
        with torch.cuda.stream(aside):
            self._check(driver.cuStreamBeginCapture_v2(aside.cuda_stream, RELAXED))
            try:
                enqueue()
            finally:
                ended = driver.cuStreamEndCapture(aside.cuda_stream, ctypes.byref(graph))
        self._check(ended)
        try:
            self._check(driver.cuGraphInstantiateWithFlags(ctypes.byref(whole), graph, 0))
        finally:
            driver.cuGraphDestroy(graph)
        return Graph(self, whole)

    @property
    def stream(self) -> int:
        """Where launches go, that of PyTorch."""
        return torch.cuda.current_stream(self._index).cuda_stream

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy bytes from one place on the device to another, in the stream."""
        self._check(self._driver.cuMemcpyDtoDAsync_v2(to, source, size, self.stream))

    def wait(self) -> None:
        """Wait until all that was launched is done; raises RuntimeError if the device is lost."""
        self._check(self._driver.cuStreamSynchronize(self.stream))

    def _enter(self) -> None:
        """Let calls of this thread go to the device."""
        self._check(self._driver.cuCtxSetCurrent(self._context))

    def _check(self, code: int) -> None:
        if code == 0:
            return
        text = ctypes.c_char_p()
        self._driver.cuGetErrorString(code, ctypes.byref(text))
        reason = text.value.decode() if text.value else f"code {code}"
        if code == OUT_OF_MEMORY:
            raise torch.cuda.OutOfMemoryError(f"CUDA error: {reason}")
        raise RuntimeError(f"CUDA error: {reason}")


class Graph:
    """Launches as one; what the driver keeps of them is freed with this object."""

    def __init__(self, gpu: Gpu, whole: ctypes.c_void_p):
        self._gpu, self._whole = gpu, whole
        # The driver does it when a launch that is under way is done. A lost device, which has
        # nothing left to free, returns an error.
        freed = weakref.finalize(self, gpu._driver.cuGraphExecDestroy, whole)
        freed.atexit = False  # The driver may have ended before.

    def __call__(self) -> None:
        """Launch them."""
        gpu = self._gpu
        gpu._enter()
        gpu._check(gpu._driver.cuGraphLaunch(self._whole, gpu.stream))


_IDLE: dict[tuple[int, bytes], list[ctypes.c_void_p]] = {}
"""Loaded modules that nobody uses, by the index of the device and the cubin."""


class Module:
    """
    A loaded cubin.

    It stays for as long as the process, because unloading it waits for the device. When this object
    is gone, the next one of the same cubin takes it over.
    """

    def __init__(self, gpu: Gpu, cubin: bytes):
        self._gpu, self._driver, self._check = gpu, gpu._driver, gpu._check
        idle = _IDLE.setdefault((gpu._index, cubin), [])
        try:
            self._module = idle.pop()
        except IndexError:
            self._module = ctypes.c_void_p()
            self._check(self._driver.cuModuleLoadData(ctypes.byref(self._module), cubin))
        weakref.finalize(self, idle.append, self._module)

    def function(self, name: str, shared: int = 0) -> Launch:
        """
        Return a kernel: a function of (blocks, rows of blocks), threads and the struct it takes.

        With `shared` each block shares so many bytes besides its own.
        """
        function = ctypes.c_void_p()
        found = self._driver.cuModuleGetFunction(
            ctypes.byref(function), self._module, name.encode()
        )
        self._check(found)
        if shared > USUAL_SHARED:
            self._check(self._driver.cuFuncSetAttribute(function, SHARED_SIZE, shared))

        def run(blocks: tuple[int, int], threads: int, arguments: ctypes.Structure) -> None:
            self._gpu._enter()
            taken = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
            sizes = (*blocks, 1, threads, 1, 1, shared)
            launched = self._driver.cuLaunchKernel(function, *sizes, self._gpu.stream, taken, None)
            self._check(launched)

        return run

    def address(self, name: str) -> int:
        """Return where a variable of the module lies on the device."""
        place, size = ctypes.c_uint64(), ctypes.c_size_t()
        found = self._driver.cuModuleGetGlobal_v2(
            ctypes.byref(place), ctypes.byref(size), self._module, name.encode()
        )
        self._check(found)
        return place.value


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise UnsupportedError(f"CUDA's driver was not found: {error}") from error
    pointer, address, unsigned = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint
    driver.cuMemcpyDtoDAsync_v2.argtypes = [address, address, ctypes.c_size_t, pointer]
    driver.cuStreamBeginCapture_v2.argtypes = [pointer, ctypes.c_int]
    driver.cuStreamEndCapture.argtypes = [pointer, pointer]
    driver.cuGraphInstantiateWithFlags.argtypes = [pointer, pointer, ctypes.c_ulonglong]
    driver.cuGraphLaunch.argtypes = [pointer, pointer]
    driver.cuGraphExecDestroy.argtypes = [pointer]
    driver.cuStreamSynchronize.argtypes = [pointer]
    driver.cuCtxSetCurrent.argtypes = [pointer]
    driver.cuLaunchKernel.argtypes = [pointer, *[unsigned] * 7, pointer, pointer, pointer]
    return driver
