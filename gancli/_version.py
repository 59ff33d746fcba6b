"""The version of gancli, where it is published and how to install it; importing this imports nothing else."""

__version__ = "0.2.0"
REPOSITORY = ""  # web address of the source code on GitHub; empty until gancli is published (docs/dev/releasing.md)


def install_hint(extra: str) -> str:
    """How to install an extra, as part of a sentence: 'run pip install "gancli[video]"'."""
    if REPOSITORY:
        return f'run pip install "gancli[{extra}]"'
    return f'run pip install ".[{extra}]" in gancli\'s source folder'


def install_step() -> str:
    """How to install gancli, as part of a sentence in Markdown: 'run `pip install gancli`'."""
    return "run `pip install gancli`" if REPOSITORY else "install gancli from its source checkout"
