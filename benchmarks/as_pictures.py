"""Write a data set as PNG files in class folders, to measure loading them: training images and held-out images.

    python benchmarks/as_pictures.py fashion-mnist fashion/

makes fashion/train/ankle boot/00000.png and so on, and fashion/heldout. Slashes in class names become dashes.
"""

import argparse
from pathlib import Path

from PIL import Image

from gancli.core.data import load
from gancli.core.images import to_hwc


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    found = load.load_dataset(args.data)
    names = [name.replace("/", "-") for name in found.class_names] or ["all"]
    splits = {"train": (found.images, found.labels), "heldout": (found.heldout_images, found.heldout_labels)}
    for split, (images, labels) in splits.items():
        for name in names:
            (args.folder / split / name).mkdir(parents=True)
        classes = [0] * len(images) if labels is None else labels.tolist()
        for i, (picture, label) in enumerate(zip(to_hwc(images), classes, strict=True)):
            Image.fromarray(picture).save(args.folder / split / names[label] / f"{i:05d}.png")


if __name__ == "__main__":
    main()
