"""The work of all processes except the first: execute its orders, without reading or writing run folders."""

import functools
import json
import tempfile
from pathlib import Path

import safetensors.torch

from gancli.core import devices
from gancli.core.distributed import EndOrder, FeaturesOrder, ImagesOrder, ModelOrder, TrainOrder, World
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import generate
from gancli.core.training import run_config
from gancli.core.training.engine import Engine
from gancli.files.run_config import parse_run_config
from gancli.metrics import features
from gancli.metrics.features import Extractor
from gancli.workflows import evaluation


def follow_orders(world: World) -> None:
    """Execute the orders of the first process until it ends.

    Raises LostProcessError if that process is lost, and the errors of the orders.
    """
    engine: Engine | None = None
    model: Model | None = None
    while True:
        order, content = world.receive_order()
        match order:
            case EndOrder():
                return
            case TrainOrder():
                engine = build_follower_engine(content, world)
            case ModelOrder():
                model = receive_model(content, order.device)
            case ImagesOrder() if model is not None:
                generate.generate_parts(model, json.loads(content), order.trunc, world)
            case FeaturesOrder():
                extractor = evaluation.share_extractor(load_extractor_once(order.name, order.channels), world)
                extractor.network(safetensors.torch.load(content)["images"])
            case _ if engine is not None:
                engine.execute_order(order, content)
            case _:
                raise ValueError(f"an order that comes too early: {order}")


@functools.lru_cache(maxsize=1)
def load_extractor_once(name: str, channels: int) -> Extractor:
    return features.load_extractor(name, channels)


def build_follower_engine(content: bytes, world: World) -> Engine:
    """Build an engine like that of the first process. Raises DataError, RunError, MemoryLimitError."""
    record = parse_run_config(json.loads(content), Path("the order to train"))
    _, images = run_config.load_run_images(record)
    run_config.check_same_data(record, images)
    return Engine(record, images, world)


def receive_model(content: bytes, device: str) -> Model:
    """Load a model from the content of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return model_file.load_model(path, devices.resolve_device(device))
