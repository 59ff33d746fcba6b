"""How idle OpenMP threads wait for work. OpenMP reads this from the environment once, when torch is loaded."""

import os
import re
import sys

SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}  # safe where other programs use the cores; measured in docs/dev/benchmarks.md

VARIABLES: dict[str, tuple[str, str]] = {  # name -> pattern of its valid values, and what to write
    "OMP_WAIT_POLICY": (r"active|passive", "ACTIVE or PASSIVE"),
    "GOMP_SPINCOUNT": (r"\d+ *[kmgt]?|infinit[ey]", "a number such as 10000"),
    "KMP_BLOCKTIME": (r"\d+ *(us|ms|s)?|infinite", "milliseconds such as 1"),
    "OMP_NUM_THREADS": (r"[1-9]\d*( *, *[1-9]\d*)*", "a number of threads"),
}
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def set_wait_policy() -> None:
    """Let idle threads sleep instead of spin; no effect if torch is loaded or the user chose a policy."""
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ.update(SLEEP)


def invalid_variable_notes() -> list[str]:
    """Return a note about each variable whose value OpenMP does not know and therefore ignores."""
    return [
        f"OpenMP ignores {name}={os.environ[name]}; set it to {wanted}, or unset it"
        for name, (pattern, wanted) in VARIABLES.items()
        if name in os.environ and not re.fullmatch(pattern, os.environ[name].strip(), re.IGNORECASE)
    ]
