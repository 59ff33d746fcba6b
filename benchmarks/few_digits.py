"""Write a few digits of mnist-5k to train on, equally many of each class, and the rest to a second file for scoring.

python benchmarks/few_digits.py few.npz --n 500
gancli train --data few.npz
python benchmarks/judge.py samples.npz --real few-rest.npz
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from gancli.core.data import load

KINDS = 10


def write(path: Path, n: int) -> Path:
    """Write both files; returns the path of the second. The digits of a smaller n are among those of a larger n."""
    digits = load.load_dataset("mnist-5k")
    assert digits.labels is not None and digits.heldout_labels is not None
    pictures = torch.cat([digits.images, digits.heldout_images])
    labels = torch.cat([digits.labels, digits.heldout_labels])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    by_kind = order[labels[order].argsort(stable=True)].view(KINDS, -1)
    rest = path.with_name(f"{path.stem}-rest.npz")
    for file, rows in ((path, by_kind[:, : n // KINDS]), (rest, by_kind[:, n // KINDS :])):
        chosen = rows.flatten()
        np.savez(file, images=pictures[chosen].permute(0, 2, 3, 1).numpy(), labels=labels[chosen].numpy())
    return rest


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT.npz")
    parser.add_argument("--n", type=int, default=500, help="number of digits, a multiple of 10 [default: 500]")
    args = parser.parse_args()
    if args.out.suffix != ".npz" or args.n % KINDS or not 0 < args.n < 5000:
        parser.error("give an output file named *.npz, and an --n from 10 to 4,990 that is a multiple of 10")
    write(args.out, args.n)


if __name__ == "__main__":
    main()
