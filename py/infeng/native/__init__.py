"""The native extension: tokenizer, format reader, CPU probing, engine."""

from infeng.native._native import (
    DecodeStream,
    Encoding,
    Engine,
    Tokenizer,
    argmax,
    choose_tier,
    cpu_info,
    infq_section,
    kv_page_bytes,
    logprobs,
    read_infq,
    sample,
    xxh3_64,
)

__all__ = [
    "DecodeStream",
    "Encoding",
    "Engine",
    "Tokenizer",
    "argmax",
    "choose_tier",
    "cpu_info",
    "infq_section",
    "kv_page_bytes",
    "logprobs",
    "read_infq",
    "sample",
    "xxh3_64",
]
