"""Adapt a small Llama with LoRA, saving memory by gradient checkpointing (transformers, peft).

The base is frozen, so without `enable_input_require_grads` re-entrant checkpointing would give the
adapters no gradient.
"""

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, set_seed


def build(reentrant):
    set_seed(1)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        use_cache=False,
    )
    model = LlamaForCausalLM(config)
    lora = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["lm_head"],
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(
        gradient_checkpointing_kwargs={"use_reentrant": reentrant},
    )
    return model


def train(model, steps):
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=5e-3)
    model.train()
    tokens = torch.randint(0, 48, (4, 12))
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        print(f"  step {step}: {loss.item()!r}")
    print("  trained", repr(sum(parameter.detach().abs().sum().item() for parameter in trainable)))


for reentrant in (True, False):
    print("re-entrant" if reentrant else "not re-entrant")
    train(build(reentrant), steps=4)
