"""Linear layers with int8 weights and dynamically quantised activations, as Python packages have them.

Each function takes weight [N, K] and x [M, K], both f32, and gives a function without arguments that computes
x times weight transposed, [M, N], from x on one thread. The packages are those of locks/matmul.txt:
perf.peers.environment.use("matmul") comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Call = Callable[[], Any]


def _torch(engine: str) -> Callable[[Floats, Floats], Call]:
    def make(weight: Floats, x: Floats) -> Call:
        import torch

        torch.set_num_threads(1)
        torch.backends.quantized.engine = engine
        scales = torch.from_numpy(np.abs(weight).max(1) / 127).double()
        zeros = torch.zeros(len(weight), dtype=torch.long)
        quantised = torch.quantize_per_channel(
            torch.from_numpy(weight), scales, zeros, 0, torch.qint8
        )
        packed = torch.ops.quantized.linear_prepack(quantised, None)
        inputs = torch.from_numpy(x)
        return lambda: torch.ops.quantized.linear_dynamic(inputs, packed, reduce_range=False)

    return make


def _onnxruntime(weight: Floats, x: Floats) -> Call:
    """DynamicQuantizeLinear and MatMulInteger, which onnxruntime fuses into one operator."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    n, k = weight.shape
    scale = (np.abs(weight).max(1) / 127).astype(np.float32)
    quantised = np.rint(weight / scale[:, None]).astype(np.int8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "q_zero", "w_zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["q_scale", "w_scale"], ["scale"]),
        helper.make_node("Mul", ["floats", "scale"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", n])],
        [
            numpy_helper.from_array(np.ascontiguousarray(quantised.T), "w"),
            numpy_helper.from_array(np.zeros(n, np.int8), "w_zero"),
            numpy_helper.from_array(scale, "w_scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})[0]


def _openvino(weight: Floats, x: Floats) -> Call:
    """Weights in int8 that are multiplied as such: dynamic quantisation in groups of 32."""
    import openvino
    from openvino import opset13 as ops

    scale = (np.abs(weight).max(1, keepdims=True) / 127).astype(np.float32)
    quantised = np.rint(weight / scale).astype(np.int8)
    inputs = ops.parameter([-1, weight.shape[1]], np.float32, name="x")
    values = ops.convert(ops.constant(quantised), np.float32)
    y = ops.matmul(inputs, ops.multiply(values, ops.constant(scale)), False, True)
    config = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 32,
    }
    compiled = openvino.Core().compile_model(openvino.Model([y], [inputs]), "CPU", config)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))

    def call() -> Any:
        request.infer()
        return request.get_output_tensor().data

    return call


INT8: dict[str, Callable[[Floats, Floats], Call]] = {
    "torch onednn": _torch("onednn"),
    "torch fbgemm": _torch("fbgemm"),
    "onnxruntime": _onnxruntime,
    "OpenVINO": _openvino,
}
