"""LoRA adapters: PEFT folders and INFQ files."""

from infeng.adapter.infq import (
    Base,
    Written,
    convert_adapter,
    is_adapter,
    is_peft,
    load_infq,
    read_adapter_header,
)
from infeng.adapter.peft import Adapter, Target, load_peft
from infeng.adapter.source import DiskAdapter, adapter_name, open_adapter

__all__ = [
    "Adapter",
    "Base",
    "DiskAdapter",
    "Target",
    "Written",
    "adapter_name",
    "convert_adapter",
    "is_adapter",
    "is_peft",
    "load_infq",
    "load_peft",
    "open_adapter",
    "read_adapter_header",
]
