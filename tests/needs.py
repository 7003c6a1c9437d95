"""What an example in a docstring or guide needs besides the package itself."""

import importlib.util
import re

HAS_JAX = importlib.util.find_spec("jax") is not None
COMPILES = re.compile(r"\bjax\b|\b(hg|tf)\.function\b|\bto_backend\b")


def lacks_jax(text: str) -> bool:
    """Tell whether an example compiles, or uses JAX itself, and JAX is not installed."""
    return not HAS_JAX and COMPILES.search(text) is not None
