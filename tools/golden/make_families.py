"""Makes testdata/families with transformers and peft, in float32 on the CPU.

No part of the build: it needs packages that the project does not. With Python 3.11:

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors numpy
    python tools/golden/make_families.py

For each case a folder with the config.json that transformers writes, adapter_config.json, and
golden.safetensors: `logits` and `adapted` (f32, at each of ROWS of the prompt, without and with
the adapter), `greedy` and `adapted_greedy` (the ids that follow). Its metadata has the shapes of
the weights. Weights, adapter and prompt follow from their names (py/infeng/testing/seeded.py),
which the test makes anew."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "testdata" / "families"

_spec = importlib.util.spec_from_file_location("seeded", ROOT / "py/infeng/testing/seeded.py")
assert _spec and _spec.loader
seeded: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(seeded)

PROMPT, GREEDY = 48, 16
ROWS = list(range(3, PROMPT, 4))
SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 263, "max_position_embeddings": 128,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
}  # fmt: skip
HALF = 8  # of a head
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32, "rope_theta": 10000.0,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
    "rope_theta": 10000.0, "beta_fast": 8.0,
}  # fmt: skip
LONG = {
    "rope_type": "longrope", "original_max_position_embeddings": 64, "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * i for i in range(HALF)],
    "long_factor": [1.5 + 0.8 * i for i in range(HALF)],
}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 20, "sliding_window": 9, "hidden_size": 80}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama_linear": ("Llama", {"rope_parameters": LINEAR}),
    "llama_dynamic": ("Llama", {"rope_parameters": DYNAMIC}),
    "llama_dynamic_long": (
        "Llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 32},
    ),
    "llama3": ("Llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama_yarn": ("Llama", {"rope_parameters": YARN}),
    "mistral": ("Mistral", {"sliding_window": 9, "head_dim": 24}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2_sliding": (
        "Qwen2", {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "gemma2": (
        "Gemma2",
        GEMMA | {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0},
    ),
    "gemma3": (
        "Gemma3Text",
        GEMMA | {
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": LINEAR | {"rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    "smollm3": ("SmolLM3", {"no_rope_layer_interval": 3, "attention_bias": True}),
    "phi3": ("Phi3", {"sliding_window": 33}),
    "phi3_longrope": (
        "Phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 64},
    ),
    "phi3_longrope_long": (
        "Phi3",
        {
            "rope_parameters": LONG | {"original_max_position_embeddings": 32},
            "original_max_position_embeddings": 32,
        },
    ),
}  # fmt: skip


def forward(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of a sequence by itself: the dynamic RoPE of transformers remembers longer ones."""
    for module in model.modules():
        if getattr(module, "rope_type", None) == "dynamic":
            module.inv_freq = module.original_inv_freq
            module.max_seq_len_cached = module.original_max_seq_len
    return model(torch.tensor([ids]), use_cache=False).logits[0]


@torch.inference_mode()
def run(model: Any, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits at ROWS of the whole prompt, and the greedy ids after it, each step from the start:
    a cache would keep keys that were turned by the RoPE of a shorter sequence."""
    logits = forward(model, ids)[ROWS]
    new: list[int] = []
    for _ in range(GREEDY):
        step = forward(model, ids + new)[-1]
        new.append(int(step.argmax()))
    return logits.contiguous(), torch.tensor(new, dtype=torch.int32)


def make(name: str, kind: str, changes: dict[str, Any]) -> None:
    """One folder."""
    config = getattr(transformers, f"{kind}Config")(**SMALL | changes)
    config._attn_implementation = "eager"
    model_class = kind.replace("Gemma3Text", "Gemma3") + "ForCausalLM"
    model = getattr(transformers, model_class)(config).eval()
    shapes = {}
    gemma = kind.startswith("Gemma")
    for key, parameter in model.named_parameters():
        shapes[key] = list(parameter.shape)
        parameter.data = torch.from_numpy(seeded.weight(key, tuple(parameter.shape), gemma))
    model.tie_weights()
    ids = seeded.prompt(PROMPT, SMALL["vocab_size"])
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    written = json.loads(config.to_json_string(use_diff=False))
    keep = {"architectures": [model_class], "model_type": config.model_type}
    drop = ("transformers_version", "_name_or_path", "dtype", "id2label", "label2id")
    config_json = {k: v for k, v in (written | keep).items() if k not in drop}
    (folder / "config.json").write_text(json.dumps(config_json, sort_keys=True) + "\n")
    tensors: dict[str, torch.Tensor] = {}
    tensors["logits"], tensors["greedy"] = run(model, ids)

    targets = [m for m, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    targets = [m for m in targets if m != "lm_head" and ".1." not in m]
    lora = peft.LoraConfig(
        r=4, lora_alpha=6, use_rslora=kind == "Mistral", target_modules=targets, bias="none"
    )
    wearing = peft.get_peft_model(model, lora).eval()
    with tempfile.TemporaryDirectory() as temporary:
        wearing.save_pretrained(temporary)
        shutil.copy(Path(temporary) / "adapter_config.json", folder)
        state = peft.get_peft_model_state_dict(wearing)
    lora_shapes = {}
    for key, value in state.items():
        lora_shapes[key] = list(value.shape)
        state[key] = torch.from_numpy(seeded.adapter(key, tuple(value.shape)))
    peft.set_peft_model_state_dict(wearing, state)
    tensors["adapted"], tensors["adapted_greedy"] = run(wearing, ids)
    assert float((tensors["adapted"] - tensors["logits"]).abs().max()) > 0.1, name
    metadata = {"shapes": json.dumps(shapes), "adapter_shapes": json.dumps(lora_shapes)}
    save_file(tensors, folder / "golden.safetensors", metadata)
    spread = tensors["logits"].std().item()
    print(f"{name}: {len(shapes)} tensors, logits' deviation {spread:.2f}")


def main() -> None:
    torch.manual_seed(0)
    for name, (kind, changes) in CASES.items():
        make(name, kind, changes)


if __name__ == "__main__":
    main()
