"""A conversation in a terminal."""

from __future__ import annotations

import dataclasses
import sys

from infeng.chat_session import ChatSession
from infeng.cli.streaming import summary, write_stream
from infeng.errors import InfengError
from infeng.generation import SamplingParams
from infeng.llm import LLM

_HELP = "/clear begins anew, /exit or Ctrl-D ends; Ctrl-C stops an answer."


def run(llm: LLM, adapter: str | None, sampling: SamplingParams) -> int:
    """Ask and answer until the user ends it. Returns the exit code."""
    # Gives input() a line to edit and a history.
    import readline  # noqa: F401

    print(_HELP, file=sys.stderr)
    session = ChatSession(llm, adapter)
    turn = 0
    while True:
        try:
            text = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        if text == "/exit":
            return 0
        if text == "/clear":
            session, turn = ChatSession(llm, adapter), 0
        elif text.startswith("/"):
            print(_HELP, file=sys.stderr)
        elif text:
            # Another seed for each turn, so that the same question may get another answer.
            seeded = dataclasses.replace(sampling, seed=(sampling.seed + turn) % (1 << 64))
            turn += 1
            try:
                write_stream(session.ask(text, seeded))
            except InfengError as e:
                print(f"infeng run: {e}", file=sys.stderr)
            else:
                speculated = llm.runner.limits.draft_tokens > 0
                print(summary(session.result(), speculated), file=sys.stderr)
