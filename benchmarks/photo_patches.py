"""Cut 32x32 colour patches from the two photographs of scikit-learn, as PNG files in class folders.

    python benchmarks/photo_patches.py patches/

makes patches/china/00000.png and so on: a patch at every 12th pixel of the photograph, and at every 6th pixel of its
half-size copy. Patches overlap, so held-out patches share pixels with training patches, and memorisation scores mean
little.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SIDE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    found = load_sample_images()
    for path, pixels in zip(found.filenames, found.images, strict=True):
        photograph = Image.fromarray(np.asarray(pixels))
        half = photograph.resize((photograph.width // 2, photograph.height // 2), Image.Resampling.LANCZOS)
        folder = args.folder / Path(path).stem
        folder.mkdir(parents=True)
        corners = [(photograph, x, y) for x, y in places(photograph, 12)] + [(half, x, y) for x, y in places(half, 6)]
        for i, (picture, x, y) in enumerate(corners):
            picture.crop((x, y, x + SIDE, y + SIDE)).save(folder / f"{i:05d}.png")


def places(picture: Image.Image, step: int) -> list[tuple[int, int]]:
    """The upper left corners of the patches that fit into the picture."""
    return [(x, y) for y in range(0, picture.height - SIDE + 1, step) for x in range(0, picture.width - SIDE + 1, step)]


if __name__ == "__main__":
    main()
