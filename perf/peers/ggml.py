"""llama.cpp's matrix product alone: its library ggml, built like its programs, called by ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infeng.errors import InfengError
from perf.peers import llama_cpp

TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 8}  # enum ggml_type
_F32 = 0
_CONTEXT_BYTES = 1 << 20  # of descriptions; data lies in buffers


class _Parameters(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("buffer", c_void_p), ("no_alloc", c_bool))


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "ggml_init": (c_void_p, [_Parameters]),
    "ggml_new_tensor_2d": (c_void_p, [c_void_p, c_int, c_int64, c_int64]),
    "ggml_mul_mat": (c_void_p, [c_void_p, c_void_p, c_void_p]),
    "ggml_new_graph": (c_void_p, [c_void_p]),
    "ggml_build_forward_expand": (None, [c_void_p, c_void_p]),
    "ggml_nbytes": (c_size_t, [c_void_p]),
    "ggml_quantize_chunk": (
        c_size_t,
        [c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p],
    ),
    "ggml_backend_alloc_ctx_tensors_from_buft": (c_void_p, [c_void_p, c_void_p]),
    "ggml_backend_alloc_ctx_tensors": (c_void_p, [c_void_p, c_void_p]),
    "ggml_backend_tensor_set": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
    "ggml_backend_tensor_get": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
    "ggml_backend_graph_compute": (c_int, [c_void_p, c_void_p]),
    "ggml_backend_get_default_buffer_type": (c_void_p, [c_void_p]),
    "ggml_backend_reg_dev_get": (c_void_p, [c_void_p, c_size_t]),
    "ggml_backend_reg_get_proc_address": (c_void_p, [c_void_p, c_char_p]),
    "ggml_backend_dev_supports_op": (c_bool, [c_void_p, c_void_p]),
    "ggml_backend_cpu_init": (c_void_p, []),
    "ggml_backend_cpu_reg": (c_void_p, []),
    "ggml_backend_cpu_set_n_threads": (None, [c_void_p, c_int]),
}


class Ggml:
    """ggml's CPU backend with one thread. Raises InfengError if it cannot be built."""

    def __init__(self) -> None:
        folder = llama_cpp.libraries()
        loaded = [_load(folder, name) for name in ("libggml-base.so", "libggml-cpu.so")]
        self._c: dict[str, Any] = {}
        for name, (result, arguments) in _SIGNATURES.items():
            function = next((getattr(lib, name) for lib in loaded if hasattr(lib, name)), None)
            if function is None:
                raise InfengError(f"ggml: {folder} has no function {name}")
            function.restype, function.argtypes = result, arguments
            self._c[name] = function
        self._backend = self._c["ggml_backend_cpu_init"]()
        self._c["ggml_backend_cpu_set_n_threads"](self._backend, 1)
        self._device = self._c["ggml_backend_reg_dev_get"](self._c["ggml_backend_cpu_reg"](), 0)

    def _buffer_types(self) -> list[int]:
        """The kinds of memory for weights; those that repack them come first, as llama.cpp has it."""
        registry = self._c["ggml_backend_cpu_reg"]()
        address = self._c["ggml_backend_reg_get_proc_address"](
            registry, b"ggml_backend_dev_get_extra_bufts"
        )
        found = []
        if address:
            extra = ctypes.CFUNCTYPE(ctypes.POINTER(c_void_p), c_void_p)(address)(self._device)
            for kind in extra or ():
                if not kind:
                    break
                found.append(kind)
        return [*found, self._c["ggml_backend_get_default_buffer_type"](self._backend)]

    def linear(
        self, kind: str, weight: NDArray[np.float32], x: NDArray[np.float32], repacked: bool
    ) -> tuple[Callable[[], object], Callable[[], NDArray[np.float32]]]:
        """x [M, K] times weight [N, K] transposed, the weight quantised to one of TYPES.

        Gives a function that computes it, and one that returns what it computed, [M, N]. Raises
        InfengError if there is no repacked form of this type."""
        c = self._c
        (n, k), m = weight.shape, x.shape[0]
        kinds = self._buffer_types()
        if repacked and len(kinds) == 1:
            raise InfengError("ggml: no kind of memory repacks weights on this CPU")
        parameters = _Parameters(_CONTEXT_BYTES, None, True)
        own, rest = c["ggml_init"](parameters), c["ggml_init"](parameters)
        w = c["ggml_new_tensor_2d"](own, TYPES[kind], k, n)
        c["ggml_backend_alloc_ctx_tensors_from_buft"](own, kinds[0 if repacked else -1])
        inputs = c["ggml_new_tensor_2d"](rest, _F32, k, m)
        y = c["ggml_mul_mat"](rest, w, inputs)
        if repacked and not c["ggml_backend_dev_supports_op"](self._device, y):
            raise InfengError(f"ggml: this CPU has no repacked {kind}")
        quantised = np.empty(c["ggml_nbytes"](w), np.uint8)
        c["ggml_quantize_chunk"](
            TYPES[kind], weight.ctypes.data, quantised.ctypes.data, 0, n, k, None
        )
        c["ggml_backend_tensor_set"](w, quantised.ctypes.data, 0, quantised.nbytes)
        graph = c["ggml_new_graph"](rest)
        c["ggml_build_forward_expand"](graph, y)
        c["ggml_backend_alloc_ctx_tensors"](rest, self._backend)
        c["ggml_backend_tensor_set"](inputs, x.ctypes.data, 0, x.nbytes)

        def result() -> NDArray[np.float32]:
            out = np.empty((m, n), np.float32)
            c["ggml_backend_tensor_get"](y, out.ctypes.data, 0, out.nbytes)
            return out

        return lambda: c["ggml_backend_graph_compute"](self._backend, graph), result


def _load(folder: Path, name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as e:
        raise InfengError(f"ggml: cannot load {folder / name}: {e}") from e
