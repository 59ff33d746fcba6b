"""How idle OpenMP threads wait for work. OpenMP reads this from the environment once, when torch is loaded."""

import os
import re
import sys

# GNU's runtime, which torch uses on Linux: an idle thread checks this many times for work (0.1 to 0.5 ms), then sleeps.
# Other runtimes read the policy alone, and let it sleep at once. Measurements: docs/dev/benchmarks.md.
SHORT_SPIN = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}

VARIABLES: dict[str, tuple[str, str]] = {  # name -> pattern of its valid values, and what to write
    "OMP_WAIT_POLICY": (r"active|passive", "ACTIVE or PASSIVE"),
    "GOMP_SPINCOUNT": (r"\d+ *[kmgt]?|infinit[ey]", "a number such as 10000"),
    "KMP_BLOCKTIME": (r"\d+ *(us|ms|s)?|infinite", "milliseconds such as 1"),
    "OMP_NUM_THREADS": (r"[1-9]\d*( *, *[1-9]\d*)*", "a number of threads"),
}
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def set_wait_policy() -> None:
    """Let idle threads spin for a moment, then sleep; no effect if torch is loaded or the user chose a policy."""
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ.update(SHORT_SPIN)


def invalid_variable_notes() -> list[str]:
    """Return a note about each variable whose value OpenMP does not know and therefore ignores."""
    return [
        f"OpenMP ignores {name}={os.environ[name]}; set it to {wanted}, or unset it"
        for name, (pattern, wanted) in VARIABLES.items()
        if name in os.environ and not re.fullmatch(pattern, os.environ[name].strip(), re.IGNORECASE)
    ]
