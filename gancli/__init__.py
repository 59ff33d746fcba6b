"""gancli: train generative adversarial networks from the command line or from Python."""

__version__ = "0.1.0"
