"""float32, TF32 and bf16: what is in force, how fast it is, and how far gradients are from those of float32."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.gpu import workload
from benchmarks.gpu.compare import Tensors, largest_difference
from benchmarks.gpu.rows import Result, Row, skipped
from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training.engine import Engine
from gancli.files.run_config import RunConfig
from gancli.wording import format_significant

ENOUGH_S = 1.0
PRESETS = ("quick", "r3gan-32")
BATCH_ON_GPU = 64
ON_CPU = {"g_width": 16, "d_width": 16, "batch_size": 4}  # bf16 is slow without AMX or AVX512_BF16


def check(device: torch.device) -> Iterator[Row]:
    for precision in ("float32", "bf16"):
        yield check_flags(precision, device)
    for preset in PRESETS:
        data = workload.random_data(preset)
        reference, float32_rate = measure(preset, data, device, "float32")
        yield Row(
            "precision",
            f"{preset}, float32",
            "measured",
            f"{format_significant(float32_rate)} images/s",
            note=workload.describe_size(record_of(preset, data, device, "float32")),
            numbers={"images_per_s": float32_rate},
        )
        for precision in ("TF32", "bf16"):
            yield compare(preset, data, device, precision, reference, float32_rate)


def check_flags(precision: str, device: torch.device) -> Row:
    """Check that gancli turns TF32 on with bf16, and off with float32."""
    devices.configure_torch(0, precision)
    flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    result: Result = "passed" if flags == (precision == "bf16",) * 2 else "failed"
    value = f"matmul {flags[0]}, cudnn {flags[1]}"
    names = getattr(torch.backends.cuda.matmul, "fp32_precision", "unknown"), device.type
    note = f"fp32_precision of matmul: {names[0]}" + ("" if device.type == "cuda" else "; no effect on this device")
    return Row("precision", f"TF32 with --precision {precision}", result, value, f"{precision == 'bf16'}", note)


def record_of(preset: str, data: ImageSet, device: torch.device, precision: str) -> RunConfig:
    size = {"batch_size": BATCH_ON_GPU} if device.type == "cuda" else ON_CPU
    return workload.build_record(preset, data, device, precision=precision, **size)


def measure(preset: str, data: ImageSet, device: torch.device, precision: str) -> tuple[Tensors, float]:
    """Return the gradients of the first step, and images/s. TF32 is float32 with TF32 products, set by hand."""
    record = record_of(preset, data, device, "float32" if precision == "TF32" else precision)
    engine = Engine(record, data)
    if precision == "TF32":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    engine.step()
    found = gradients(engine)
    return found, record.train.batch_size / workload.measure_step_s(engine, ENOUGH_S)


def gradients(engine: Engine) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": weight.grad.cpu()
        for name, net in (("G", engine.state.G), ("D", engine.state.D))
        for key, weight in net.named_parameters()
        if weight.grad is not None
    }


def compare(
    preset: str, data: ImageSet, device: torch.device, precision: str, reference: Tensors, float32_rate: float
) -> Row:
    """Compare a precision with float32 on the same device, in speed and in the gradients of the first step."""
    what = f"{preset}, {precision}"
    if precision == "TF32" and device.type != "cuda":
        return skipped("precision", what, "only CUDA has TF32")
    if precision == "bf16" and not devices.has_bf16(device):
        return skipped("precision", what, f"not supported by {device.type}")
    found, rate = measure(preset, data, device, precision)
    off, where = largest_difference(found, reference)
    value, factor = f"{format_significant(rate)} images/s", f"{rate / float32_rate:.2f} times the speed of float32"
    setting = "no setting of gancli: float32 keeps TF32 off" if precision == "TF32" else "networks in bf16, TF32 on"
    note = f"gradients differ by up to {off:.1e} ({where}); {setting if device.type == 'cuda' else 'networks in bf16'}"
    numbers = {"images_per_s": rate, "factor": rate / float32_rate, "difference": off}
    return Row("precision", what, "measured", value, factor, note, numbers)
