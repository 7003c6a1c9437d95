"""What Python reads first in each process of these tests: it lets torchvision be imported.

The wheels of torchvision that PyPI has for Linux are made for the torch with CUDA. Beside the torch
for the CPU their operators cannot be loaded, and the import fails, at registrations for two of
them. No program here calls these, so their signatures are enough.
"""

import importlib.abc
import sys


class BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Declare the operators when torchvision is about to be imported; find nothing."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                for name in ("nms", "qnms"):
                    torch.library.define(
                        f"torchvision::{name}", "(Tensor boxes, Tensor scores, float iou) -> Tensor"
                    )
        return None


sys.meta_path.insert(0, BeforeTorchvision())
