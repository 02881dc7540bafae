"""Memory and one stream of a GPU, through NVIDIA's own Python bindings of the CUDA runtime."""

from typing import Any

from cuda.bindings import runtime as cuda
from numpy.typing import NDArray

from runtime.errors import ClassifierRunError


def check(result: tuple[Any, ...]) -> Any:
    """What a call of the bindings gives beside its error code: a value, or None.

    Raises:
        ClassifierRunError: The code is not success.
    """
    code, *values = result
    if code != cuda.cudaError_t.cudaSuccess:
        _, text = cuda.cudaGetErrorString(code)
        said = text.decode() if isinstance(text, bytes) else str(text)
        raise ClassifierRunError(f"the GPU failed: {said}")
    return values[0] if values else None


class GpuBuffers:
    """Named buffers on the current GPU, and the stream in which they are filled and read."""

    def __init__(self) -> None:
        """Makes the stream.

        Raises:
            ClassifierRunError: There is no GPU.
        """
        self._addresses: dict[str, int] = {}
        self._stream: Any = check(cuda.cudaStreamCreate())

    def allocate(self, name: str, size_bytes: int) -> None:
        """Makes a buffer.

        Raises:
            ClassifierRunError: There is not enough memory.
        """
        self._addresses[name] = int(check(cuda.cudaMalloc(size_bytes)))

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def address(self, name: str) -> int:
        """Where a buffer lies on the GPU."""
        return self._addresses[name]

    def fill(self, name: str, values: NDArray[Any]) -> None:
        """Copies a C-contiguous array to the start of a buffer."""
        kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        check(cuda.cudaMemcpyAsync(self.address(name), values.ctypes.data, values.nbytes, kind, self._stream))

    def read(self, name: str, into: NDArray[Any]) -> None:
        """Copies the start of a buffer into a C-contiguous array; it is there after `wait`."""
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        check(cuda.cudaMemcpyAsync(into.ctypes.data, self.address(name), into.nbytes, kind, self._stream))

    def wait(self) -> None:
        """Waits until the stream has done everything."""
        check(cuda.cudaStreamSynchronize(self._stream))

    def free(self) -> None:
        """Gives everything back."""
        for address in self._addresses.values():
            cuda.cudaFree(address)
        self._addresses = {}
        if self._stream is not None:
            cuda.cudaStreamDestroy(self._stream)
            self._stream = None
