"""What the processes beside the first one do: wait for its orders, and compute with it. They read and write no run."""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch

from gancli import evaluation
from gancli.core import clusters, devices, generate, modelfile, records
from gancli.core.engine import Engine
from gancli.core.modelfile import Model
from gancli.core.world import World
from gancli.metrics import features
from gancli.metrics.features import Extractor


def serve(world: World) -> None:
    """Obey the first process until it needs no help any more. Raises what its orders raise, and LostError when it is
    gone."""
    engine: Engine | None = None
    model: Model | None = None
    while True:
        order, content = world.hear()
        what = order["order"]
        if what == "end":
            return
        if what == "train":
            engine = trained(json.loads(content), world)
        elif what == "model":
            model = received(content, order["device"], world)
        elif what == "images" and model is not None:
            generate.together(model, json.loads(content), order["trunc"])
        elif what == "features":
            extractor = evaluation.shared(loaded(order["name"], order["channels"]), world)
            extractor.network(safetensors.torch.load(content)["images"])
        elif engine is not None:
            engine.obey(order, content)
        else:
            raise ValueError(f"an order that nobody understands: {what}")


@functools.lru_cache(maxsize=1)
def loaded(name: str, channels: int) -> Extractor:
    return features.load(name, channels)


def trained(record: dict[str, Any], world: World) -> Engine:
    """The same networks and images as in the first process. Raises DataError, RunError, MemoryLimitError."""
    _, images = clusters.of_record(record)
    records.check_same_data(record, images)
    return Engine(record, images, world)


def received(content: bytes, device: str, world: World) -> Model:
    """A model by the content of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return modelfile.load(path, devices.resolve(device), world)
