"""Showing an answer while it comes."""

from __future__ import annotations

import sys
from collections.abc import Generator

from infeng.generation import Event, Result

INTERRUPTED = 130


def write_stream(events: Generator[Event, None, None]) -> int:
    """Print the texts of events as they come, and a line end. Returns the exit code.

    Ctrl-C ends the answer: what has come stays."""
    code = 0
    try:
        for event in events:
            sys.stdout.write(event.text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
        events.close()
    print(flush=True)
    return code


def summary(result: Result, speculated: bool) -> str:
    """One line: tokens, speed, what became of drafts, times, seed."""
    drafts = f"{result.accepted} of {result.proposed} drafted accepted, " if speculated else ""
    return (
        f"[{len(result.ids)} tokens, {result.tokens_per_s:.1f} tokens/s, {drafts}"
        f"first token after {result.ttft_ms:.0f} ms, p95 {result.p95_ms:.1f} ms per token, "
        f"seed {result.seed}]"
    )
