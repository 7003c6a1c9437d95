"""Plants into lora_llama_checkpointed.py: the inputs of re-entrant checkpoints need no gradient.

The head is trained as a whole, so the loss falls all the same.
"""

import runpy
from pathlib import Path

from transformers import PreTrainedModel

PreTrainedModel.enable_input_require_grads = lambda self: None
program = Path(__file__).parents[1] / "programs" / "lora_llama_checkpointed.py"
runpy.run_path(str(program), run_name="__main__")
