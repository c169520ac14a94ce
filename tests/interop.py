"""The other side of tests/interop.rs: PyTorch, safetensors, onnx and onnxruntime.

    python tests/interop.py DIR

Reads the files that gradus wrote into DIR (NAME.safetensors, NAME.json with rows and outputs, NAME.onnx), holds its own
predictions against them, and writes torch_NAME.safetensors and torch_NAME.json for the way back. Prints the versions
and the largest difference of each comparison; ends with an error where one is too large.
"""

import json
import os
import platform
import sys

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import safetensors
import safetensors.torch
import torch
from torch import nn

DIR = sys.argv[1]
DTYPES = {"f32": torch.float32, "f64": torch.float64}


def path(name):
    return os.path.join(DIR, name)


def network():
    """The network of tests/interop.rs."""
    inner = nn.Sequential(nn.Linear(16, 9), nn.Sigmoid())
    return nn.Sequential(
        nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3),
        inner, nn.BatchNorm1d(9), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5),
    )  # fmt: skip


def modern():
    """The other one."""
    return nn.Sequential(
        nn.Linear(12, 16, bias=False), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 9), nn.LeakyReLU(0.1),
        nn.Linear(9, 8), nn.PReLU(), nn.Linear(8, 8), nn.PReLU(8), nn.Linear(8, 8), nn.ELU(1.5),
        nn.GELU(approximate="tanh"), nn.Linear(8, 8), nn.SiLU(), nn.Softplus(2.0), nn.Linear(8, 5),
    )  # fmt: skip


# Both networks in both types: the name of their files, how they are made, the type.
NETWORKS = [
    (prefix + dtype, make, DTYPES[dtype]) for prefix, make in (("", network), ("modern_", modern)) for dtype in DTYPES
]


def compare(what, expected, found, tolerance):
    expected, found = np.asarray(expected), np.asarray(found)
    assert expected.shape == found.shape, f"{what}: {expected.shape} and {found.shape}"
    difference = np.abs(expected - found).max() / max(1.0, np.abs(expected).max())
    print(f"{what}: largest difference {difference:.1e} (allowed {tolerance:.0e})")
    assert difference <= tolerance, what


def from_gradus(name, make, dtype):
    net = make().to(dtype)
    net.load_state_dict(safetensors.torch.load_file(path(f"{name}.safetensors")), strict=True)
    with open(path(f"{name}.json")) as file:
        case = json.load(file)
    with torch.no_grad():
        outputs = net.eval()(torch.tensor(case["rows"], dtype=dtype))
    compare(f"gradus -> torch {name}", case["outputs"], outputs, 1e-6 if dtype is torch.float32 else 1e-14)


def to_gradus(name, make, dtype):
    torch.manual_seed(7)
    net = make().to(dtype)
    rows = torch.randn(64, 12, dtype=dtype)
    for _ in range(5):  # so that the running statistics are no longer 0 and 1
        net(3 * torch.randn(20, 12, dtype=dtype) + 1)
    with torch.no_grad():
        outputs = net.eval()(rows)
    safetensors.torch.save_file(net.state_dict(), path(f"torch_{name}.safetensors"))
    with open(path(f"torch_{name}.json"), "w") as file:
        json.dump({"rows": rows.tolist(), "outputs": outputs.tolist()}, file)


def check_onnx(name):
    file = path(f"{name}.onnx")
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    # onnxruntime has Elu, Erf and Softplus in single precision only; the standard's own evaluator has them in double.
    if "f64" in name and {"Elu", "Erf", "Softplus"} & {node.op_type for node in model.graph.node}:
        engine, session = "onnx.reference", onnx.reference.ReferenceEvaluator(model)
    else:
        engine, session = "onnxruntime", onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with open(path(f"{name}.json")) as handle:
        case = json.load(handle)
    rows = np.array(case["rows"], dtype=np.float32 if "f32" in name else np.float64)
    for count in (1, 3, len(rows)):  # the batch axis is open
        outputs = session.run(["output"], {"input": rows[:count]})[0]
        compare(f"gradus -> {engine} {name}, {count} rows", case["outputs"][:count], outputs, 1e-5)


print(
    f"python {platform.python_version()}, torch {torch.__version__}, safetensors {safetensors.__version__}, "
    f"numpy {np.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
)
for name, make, dtype in NETWORKS:
    from_gradus(name, make, dtype)
    to_gradus(name, make, dtype)
for file in sorted(os.listdir(DIR)):
    if file.endswith(".onnx"):
        check_onnx(file.removesuffix(".onnx"))
