"""Graphs of one node, and what ONNX Runtime makes of them; both packages are optional."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

try:
    import onnx
    import onnxruntime
except ModuleNotFoundError as missing:  # both are optional
    pytest.skip(f"needs the package {missing.name}", allow_module_level=True)

N = 12


def graph(
    op: str, opset: int, feeds: dict[str, np.ndarray], constants: dict[str, Any], **attributes: Any
) -> Any:
    """A model of one node, its inputs those of ``feeds`` and then ``constants``."""
    floats = onnx.TensorProto.FLOAT
    values = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in feeds.items()
    ]
    names = [*feeds, *constants]
    node = onnx.helper.make_node(op, names, ["y"], name="node", **attributes)
    made = onnx.helper.make_graph(
        [node],
        "g",
        values,
        [onnx.helper.make_tensor_value_info("y", floats, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items() if k],
    )
    return onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )


def run(model: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feeds)[0])


def ramp(height: int = 1) -> np.ndarray:
    return np.tile(np.arange(N, dtype=np.float32), (1, 1, height, 1))


def resize_graph(opset: int, scale: float, **attributes: Any) -> Any:
    scales = np.array([1, 1, 1, scale], np.float32)
    feeds = {"x": ramp()}
    if opset < 10:
        return graph("Upsample", opset, feeds, {"scales": scales}, **attributes)
    if opset == 10:
        return graph("Resize", opset, feeds, {"scales": scales}, **attributes)
    constants = {"roi": np.zeros(0, np.float32), "scales": scales}
    return graph("Resize", opset, feeds, constants, **attributes)
