"""Plants into lora_gpt2.py: what leaves the first block is detached, so its adapter is idle."""

import runpy
from pathlib import Path

from transformers.models.gpt2.modeling_gpt2 import GPT2Block

forward = GPT2Block.forward


def detached(self, *args, **kwargs):
    hidden = forward(self, *args, **kwargs)
    if self.attn.layer_idx == 0:
        hidden = hidden.detach()  # planted
    return hidden


GPT2Block.forward = detached
runpy.run_path(str(Path(__file__).parents[1] / "programs" / "lora_gpt2.py"), run_name="__main__")
