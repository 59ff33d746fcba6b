"""Would CUDA graphs or torch.compile make the forward passes of G and D faster? gancli uses neither."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu import workload
from benchmarks.gpu.rows import Row, skipped
from gancli.core.training.engine import Engine
from gancli.core.training.losses import r1_penalty

PAYS = 1.1  # times as fast
PRESETS, BATCH = ("quick", "r3gan-32"), 64


def check(device: torch.device) -> Iterator[Row]:
    if device.type != "cuda":
        yield skipped("graphs", "CUDA graphs, torch.compile", "only measured on CUDA")
        return
    for preset in PRESETS:
        data = workload.random_data(preset)
        engine = Engine(workload.build_record(preset, data, device, batch_size=BATCH), data)
        for name, net, inputs in networks(engine):
            yield from compare(f"{preset}, forward of {name}", net, inputs, device)
        yield compile_with_penalty(preset, engine)


def networks(engine: Engine) -> Iterator[tuple[str, nn.Module, tuple[Tensor, Tensor | None]]]:
    n, spec, device = engine.config.batch_size, engine.spec, engine.device
    labels = torch.zeros(n, dtype=torch.int64, device=device) if spec.n_classes else None
    yield "G", engine.state.G, (torch.randn(n, spec.z_dim, device=device), labels)
    yield "D", engine.state.D, (torch.randn(n, spec.channels, spec.resolution, spec.resolution, device=device), labels)


def compare(what: str, net: nn.Module, inputs: tuple[Any, ...], device: torch.device) -> Iterator[Row]:
    with torch.no_grad():
        plain_s = workload.median_s(lambda: net(*inputs), device)
        graph = capture(net, inputs)
        yield describe(f"{what}, CUDA graph", plain_s, workload.median_s(graph.replay, device), "")
        started = time.perf_counter()
        try:
            compiled = torch.compile(net)
            compiled(*inputs)
            took_s = time.perf_counter() - started
            fast_s = workload.median_s(lambda: compiled(*inputs), device)
        except Exception as err:  # gancli does not need the compiler
            yield skipped("graphs", f"{what}, torch.compile", f"{type(err).__name__}: {str(err)[:200]}")
            return
        yield describe(f"{what}, torch.compile", plain_s, fast_s, f"the first call took {took_s:.0f} s")


def capture(net: nn.Module, inputs: tuple[Any, ...]) -> torch.cuda.CUDAGraph:
    """Capture a forward pass as a CUDA graph, after warming up on another stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(*inputs)
    return graph


def describe(what: str, plain_s: float, fast_s: float, note: str) -> Row:
    factor = plain_s / fast_s
    verdict = "pays for the forward pass alone" if factor >= PAYS else "does not pay"
    value, plain = f"{1000 * fast_s:.2f} ms, {factor:.2f} times as fast", f"{1000 * plain_s:.2f} ms without"
    numbers = {"plain_ms": 1000 * plain_s, "fast_ms": 1000 * fast_s}
    return Row("graphs", what, "measured", value, plain, "; ".join(filter(None, (verdict, note))), numbers)


def compile_with_penalty(preset: str, engine: Engine) -> Row:
    """Try R1 through a compiled D: it needs a second derivative, which torch's compiler may not have."""
    _, (_, D, (images, labels)) = networks(engine)
    said = "works"
    try:
        x = images[:4].requires_grad_()
        r1_penalty(x, torch.compile(D)(x, None if labels is None else labels[:4])).sum().backward()
    except Exception as err:
        said = f"{type(err).__name__}: {' '.join(str(err).split())[:160]}"
    return Row("graphs", f"{preset}, R1 through a compiled D", "measured", said, note="steps with a penalty need it")
