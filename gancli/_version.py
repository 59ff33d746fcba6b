"""The version of gancli, where everything can read it without importing more."""

__version__ = "0.1.0"
