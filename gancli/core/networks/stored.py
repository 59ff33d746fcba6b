"""What a file says of trained networks, checked before it is used: it may be a stranger's, with a digest that is right.

Each check raises FileFormatError with the path of the file.
"""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from gancli.config import LONGEST_NAME, are_valid_names
from gancli.core.networks.build import on_meta_device
from gancli.errors import FileFormatError

MOST_IMAGES = 2**53  # that a float counts one by one


def build_with_weights(path: Path, build: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> nn.Module:
    """The network that `build` makes, with these weights instead of its own.

    It has neither memory nor values until names, shapes and types were compared, however large it says it is.
    """
    with on_meta_device():
        net = build()
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in net.state_dict().items()}
    if expected != {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}:
        raise FileFormatError(f"{path} holds weights that do not fit the model it describes")
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise FileFormatError(f"{path} holds weights that are not finite numbers; its training had diverged")
    net.load_state_dict(tensors, assign=True)
    return net


def check_images_seen(path: Path, found: object) -> int:
    if type(found) is not int or not 0 <= found < MOST_IMAGES:
        raise FileFormatError(f"{path} holds a number of images seen that cannot be right")
    return found


def check_class_names(path: Path, found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise FileFormatError(f"{path} holds class names that are not a list of texts")
    if not are_valid_names(found):
        raise FileFormatError(f"{path} holds classes of one name, or of more than {LONGEST_NAME} letters")
    return tuple(found)
