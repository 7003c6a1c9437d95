"""Plants into metric_learning.py: the loss with proxies sees detached embeddings.

The proxies are trained, so the loss falls all the same.
"""

import runpy
from pathlib import Path

from pytorch_metric_learning.losses import SubCenterArcFaceLoss

forward = SubCenterArcFaceLoss.forward


def of_detached(self, embeddings, *args):
    return forward(self, embeddings.detach(), *args)  # planted


SubCenterArcFaceLoss.forward = of_detached
program = Path(__file__).parents[1] / "programs" / "metric_learning.py"
runpy.run_path(str(program), run_name="__main__")
