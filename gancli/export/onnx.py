"""A generator as ONNX: runs without PyTorch, in onnxruntime on any device, in a browser, or in another language."""

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

TOLERANCE = 1  # of 255 levels: what sums in another order can make of a value halfway between two
BATCHES = (1, 3, 8)  # sizes that are compared
TRIED_SEEDS = 2  # not 1, which the exporter would take for a constant


class PixelGenerator(nn.Module):
    """z [N, z_dim] (and labels [N]) -> uint8 [N,R,R,C], the pixels that `gancli sample` writes."""

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G = G

    def forward(self, *inputs: Tensor) -> Tensor:
        return images.to_uint8(self.G(*inputs)).permute(0, 2, 3, 1)


def write_onnx(path: Path, model: Model, *, force: bool) -> None:
    """One file, written when it is known to compute what the model does. Raises RunError, FileFormatError."""
    with outputs.create_output_file(path, force=force) as file:
        content = convert_to_onnx(model)
        check_onnx(path, content, model)
        file.write(content)


def convert_to_onnx(model: Model) -> bytes:
    """The content of the file: weights, batches of any size, and what `gancli` knows of the model as its metadata."""
    names = [*onnx_inputs(model, TRIED_SEEDS)]
    pictures, tried = PixelGenerator(model.G).eval(), tuple(onnx_inputs(model, TRIED_SEEDS).values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
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
        del node.metadata_props[:]  # the lines of code it comes from, with their paths
    proto.producer_name, proto.producer_version = "gancli", __version__
    proto.doc_string = "z float32 [N, z_dim] from N(0, 1), labels int64 [N] if it has classes -> images uint8 [N,H,W,C]"
    onnx.helper.set_model_props(proto, onnx_metadata(model))
    content: bytes = proto.SerializeToString()
    return content


def onnx_metadata(model: Model) -> dict[str, str]:
    """Texts, as ONNX has them; what is no text is JSON."""
    about = {"gancli": __version__, "sha256": model.digest, **dataclasses.asdict(model.info)}
    return {key: make_printable(value) if isinstance(value, str) else json.dumps(value) for key, value in about.items()}


def onnx_inputs(model: Model, n: int) -> dict[str, Tensor]:
    """Those of seeds 0 to n - 1."""
    labels = generate.sample_labels(model, list(range(n)), None)
    z = {"z": latents.latents_from_seeds(range(n), model.info.spec.z_dim)}
    return z if labels is None else {**z, "labels": torch.tensor(labels)}


def check_onnx(path: Path, content: bytes, model: Model) -> None:
    """Raises FileFormatError unless onnxruntime makes the same pictures, up to TOLERANCE, at several batch sizes."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n in BATCHES:
        given = onnx_inputs(model, n)
        (made,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        expected = generate.generate(model.G, given["z"], given.get("labels")).permute(0, 2, 3, 1).numpy()
        if made.shape != expected.shape or made.dtype != expected.dtype:
            raise FileFormatError(f"{path} was not written: onnxruntime gives {made.dtype} {made.shape}, another shape")
        if (worst := int(np.abs(made.astype(int) - expected).max())) > TOLERANCE:
            raise FileFormatError(
                f"{path} was not written: onnxruntime differs from PyTorch by {worst} of 255 levels; "
                "other versions of torch or onnxruntime may do better"
            )
