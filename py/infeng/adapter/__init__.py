"""LoRA adapters in PEFT's own format."""

from infeng.adapter.peft import Adapter, Target, load_peft

__all__ = ["Adapter", "Target", "load_peft"]
