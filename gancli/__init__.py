"""gancli: train generative adversarial networks from the command line or from Python.

    import gancli

    run = gancli.train("mnist-5k", kimg=20)
    images = gancli.generate(run.model(), 16)  # uint8 [16,28,28,1]
    print(gancli.evaluate(run, n=2000).scores)

The import is fast: torch is imported only when one of these names is first used.
"""

from typing import TYPE_CHECKING, Any

from gancli._version import __version__ as __version__
from gancli.openmp import set_wait_policy

__all__ = ["Evaluation", "GancliError", "Model", "Run", "Score", "evaluate", "generate", "load", "train"]

set_wait_policy()

if TYPE_CHECKING:
    from gancli.api import Evaluation, Model, Run, Score, evaluate, generate, load, train
    from gancli.errors import GancliError

if not TYPE_CHECKING:  # hidden from type checkers, which would otherwise accept any name

    def __getattr__(name: str) -> Any:
        if name == "GancliError":
            from gancli.errors import GancliError

            return GancliError
        if name in __all__:
            from gancli import api

            return getattr(api, name)
        raise AttributeError(f"module 'gancli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
