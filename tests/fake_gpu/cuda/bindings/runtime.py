# ruff: noqa: N801, N802, N815
"""The CUDA runtime's memory and streams, in the memory of this process."""

import ctypes
from enum import Enum
from typing import Any

LIMIT_BYTES = 2**34
_buffers: dict[int, Any] = {}


class cudaError_t(Enum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2


class cudaMemcpyKind(Enum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


def cudaGetErrorString(error: cudaError_t) -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, error.name.encode()


def cudaMalloc(size: int) -> tuple[Any, ...]:
    if size > LIMIT_BYTES:
        return cudaError_t.cudaErrorMemoryAllocation, None
    buffer = ctypes.create_string_buffer(size)
    _buffers[ctypes.addressof(buffer)] = buffer
    return cudaError_t.cudaSuccess, ctypes.addressof(buffer)


def cudaFree(address: int) -> tuple[Any, ...]:
    del _buffers[address]
    return (cudaError_t.cudaSuccess,)


def cudaMemcpyAsync(dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: int) -> tuple[Any, ...]:
    assert stream == 7
    on_gpu = dst if kind is cudaMemcpyKind.cudaMemcpyHostToDevice else src
    assert count <= len(_buffers[on_gpu]), "outside the buffer"
    ctypes.memmove(dst, src, count)
    return (cudaError_t.cudaSuccess,)


def cudaStreamCreate() -> tuple[Any, ...]:
    return cudaError_t.cudaSuccess, 7


def cudaStreamSynchronize(stream: int) -> tuple[Any, ...]:
    return (cudaError_t.cudaSuccess,)


def cudaStreamDestroy(stream: int) -> tuple[Any, ...]:
    return (cudaError_t.cudaSuccess,)
