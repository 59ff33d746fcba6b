"""Compare two ways to decode the images of a folder: gancli's decoder, and Pillow in threads with checksums verified.

    python benchmarks/decoders.py FOLDER --side 28 --channels 1 [--pairs 3]

Both decode everything into memory, in alternating order. `benchmarks/as_pictures.py` makes a folder of small PNGs.
"""

import argparse
import io
import statistics
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from gancli.core import devices
from gancli.core.data import decode, fast_png, load, resize
from gancli.core.data.decode import Pixels
from gancli.core.data.resize import Transform
from gancli.core.data.source import ImageSource, to_channels_first

PER_TASK = 256


def ours(source: ImageSource, wanted: Transform) -> Iterator[Pixels]:
    return (block.pixels for block in source.decode(wanted))


def pillow(source: ImageSource, wanted: Transform) -> Iterator[Pixels]:
    def decode_some(start: int) -> Pixels:
        rows = range(start, min(start + PER_TASK, len(source)))
        return to_channels_first(np.stack([decode_with_pillow(source.read(row), wanted) for row in rows]))

    with ThreadPoolExecutor(devices.count_cores()) as pool:
        yield from pool.map(decode_some, range(0, len(source), PER_TASK))


def decode_with_pillow(data: bytes | Pixels, wanted: Transform) -> Pixels:
    """Decode a PNG with Pillow after verifying its checksums; decode other files as gancli does."""
    if not isinstance(data, bytes) or not data.startswith(fast_png.MAGIC):
        return resize.decode_image(data, wanted)[0]
    at, name = len(fast_png.MAGIC), b""
    while name != b"IEND":
        n_bytes, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + n_bytes
        assert zlib.crc32(memoryview(data)[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        at = end
    image = decode.to_plain_mode(Image.open(io.BytesIO(data), formats=["PNG"]))
    return resize.image_to_array(resize.fit_image(resize.flatten_alpha(image, wanted), wanted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--channels", type=int, choices=(1, 3), required=True)
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    source, wanted = load.open_source(asked.folder), Transform(asked.side, asked.channels)
    took: dict[str, list[float]] = {"gancli": [], "Pillow in threads": []}
    ways = {"gancli": ours, "Pillow in threads": pillow}
    for turn in range(asked.pairs):
        totals = set()
        for name in [*ways][:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            totals.add(sum(int(pixels.sum(dtype=np.int64)) for pixels in ways[name](source, wanted)))
            took[name].append(time.perf_counter() - start)
        assert len(totals) == 1, "both give the same pixels"
    for name, seconds in took.items():
        ratio = statistics.median(a / b for a, b in zip(seconds, took["gancli"], strict=True))
        print(f"{len(source):,} files, {name:18} {statistics.median(seconds):6.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
