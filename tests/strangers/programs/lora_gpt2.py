"""Adapt a small GPT-2 to one sentence pattern with LoRA (transformers, peft)."""

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup, set_seed

set_seed(0)
config = GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=2, n_head=2, pad_token_id=0)
model = GPT2LMHeadModel(config)
model = get_peft_model(
    model,
    LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=4,
        lora_alpha=16,
        lora_dropout=0.05,
        target_modules=["c_attn"],
        fan_in_fan_out=True,
    ),
)
model.print_trainable_parameters()

tokens = (torch.arange(16)[None, :] * 3 + torch.arange(8)[:, None]) % 64
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=1, num_training_steps=6)

model.train()
for step in range(6):
    outputs = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=tokens)
    outputs.loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    print(f"step {step}: loss {outputs.loss.item()!r}")

model.eval()
with torch.no_grad():
    reply = model.generate(
        input_ids=tokens[:1, :4], max_new_tokens=6, do_sample=False, pad_token_id=0
    )
print("generated", reply[0].tolist())
for name, parameter in model.named_parameters():
    if parameter.requires_grad:
        print(name, repr(parameter.detach().abs().sum().item()))
