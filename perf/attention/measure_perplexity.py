"""The default model's perplexity by KV cache, for the sweeps: measure_perplexity.py TEXT OUT.

A build action, so that it is computed once for an engine, a model and a text: all bits of it are
the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from infeng.llm import LLM
from infeng.perplexity import perplexity

WINDOW = 2048
# Two windows: a difference of caches is told by few tokens, since all else is the same.
CHARACTERS = 22_500


def main(text_path: str, out: str) -> None:
    """Write {"window", "scored", "text_sha256", "ppl": {dtype: ...}} to `out`."""
    text = Path(text_path).read_text(encoding="utf-8")[:CHARACTERS]
    scored = 0
    values = {}
    for kv in ("f16", "int8", "int4"):
        with LLM(kv=kv) as llm:
            result = perplexity(llm, text, WINDOW)
        values[kv] = result.ppl
        scored = result.scored
    digest = hashlib.sha256(text.encode()).hexdigest()
    shown = {"window": WINDOW, "scored": scored, "text_sha256": digest, "ppl": values}
    Path(out).write_text(json.dumps(shown, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
