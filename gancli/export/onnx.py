"""Write a generator as ONNX, which runs without PyTorch: on any device, in a browser, from other languages."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401  torch's exporter needs it
import torch
from torch import Tensor, nn

from gancli._version import __version__
from gancli.core import images
from gancli.core.networks.model_file import Model
from gancli.core.sampling import generate, latents
from gancli.errors import FileFormatError, make_printable
from gancli.files import outputs

TOLERANCE = 1  # of 255 levels: sums in another order can round a value halfway between two levels differently
BATCHES = (1, 3, 8)  # batch sizes for the comparison with PyTorch
TRIED_SEEDS = 2  # with 1, the exporter would treat the batch size as a constant


class PixelGenerator(nn.Module):
    """Map z [N, z_dim] (and labels [N]) to uint8 [N,R,R,C], the pixels that `gancli sample` writes."""

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G = G

    def forward(self, *inputs: Tensor) -> Tensor:
        return images.to_uint8(self.G(*inputs)).permute(0, 2, 3, 1)


def write_onnx(path: Path, model: Model, *, force: bool) -> None:
    """Write one ONNX file after comparing its output with the model's. Raises RunError, FileFormatError."""
    with outputs.create_output_file(path, force=force) as file:
        content = convert_to_onnx(model)
        check_onnx(path, content, model)
        file.write(content)


def convert_to_onnx(model: Model) -> bytes:
    """Return the content of the file: the generator for any batch size, with the model's metadata."""
    names = [*onnx_inputs(model, TRIED_SEEDS)]
    pictures, tried = PixelGenerator(model.G).eval(), tuple(onnx_inputs(model, TRIED_SEEDS).values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        program = torch.onnx.export(
            pictures,
            tried,
            dynamo=True,
            verbose=False,
            input_names=names,
            output_names=["images"],
            dynamic_shapes=(tuple({0: torch.export.Dim("N")} for _ in names),),
        )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # removes source lines and their paths
    proto.producer_name, proto.producer_version = "gancli", __version__
    proto.doc_string = "z float32 [N, z_dim] from N(0, 1), labels int64 [N] if it has classes -> images uint8 [N,H,W,C]"
    onnx.helper.set_model_props(proto, onnx_metadata(model))
    content: bytes = proto.SerializeToString()
    return content


def onnx_metadata(model: Model) -> dict[str, str]:
    """Return the metadata as texts, which ONNX requires; values other than texts become JSON."""
    about = {"gancli": __version__, "sha256": model.digest, **dataclasses.asdict(model.info)}
    return {key: make_printable(value) if isinstance(value, str) else json.dumps(value) for key, value in about.items()}


def onnx_inputs(model: Model, n: int) -> dict[str, Tensor]:
    """Return the inputs of seeds 0 to n - 1."""
    labels = generate.sample_labels(model, list(range(n)), None)
    z = {"z": latents.latents_from_seeds(range(n), model.info.spec.z_dim)}
    return z if labels is None else {**z, "labels": torch.tensor(labels)}


def check_onnx(path: Path, content: bytes, model: Model) -> None:
    """Raise FileFormatError unless onnxruntime gives the same pixels within TOLERANCE at several batch sizes."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n in BATCHES:
        given = onnx_inputs(model, n)
        (made,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        expected = generate.generate(model.G, given["z"], given.get("labels")).permute(0, 2, 3, 1).numpy()
        if made.shape != expected.shape or made.dtype != expected.dtype:
            raise FileFormatError(
                f"{path} was not written: onnxruntime gives {made.dtype} {made.shape}, "
                f"expected {expected.dtype} {expected.shape}"
            )
        if (worst := int(np.abs(made.astype(int) - expected).max())) > TOLERANCE:
            raise FileFormatError(
                f"{path} was not written: onnxruntime differs from PyTorch by {worst} of 255 levels; "
                "try other versions of torch or onnxruntime"
            )
