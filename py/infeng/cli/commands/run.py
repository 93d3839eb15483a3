"""infeng run: answers a prompt, streaming, or chats."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from infeng.cli import chat_loop
from infeng.cli.console import print_json
from infeng.cli.options import add_model_options, add_speculate_option, load, named_paths
from infeng.cli.streaming import summary, write_stream
from infeng.errors import UsageError
from infeng.generation import SamplingParams
from infeng.llm import LLM, Batch, params

_DEFAULTS = SamplingParams()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "infeng run [options] [MODEL] [PROMPT]"
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="MODEL PROMPT",
        help="a model, as for --model, and a prompt; no prompt: chat in a terminal, else the "
        "prompt is standard input",
    )
    add_model_options(parser)
    add_speculate_option(parser)
    parser.add_argument("--raw", action="store_true", help="no chat template: continue the text")
    parser.add_argument("--max-tokens", type=int, default=_DEFAULTS.max_tokens, metavar="N")
    parser.add_argument("--greedy", action="store_true", help="always the likeliest token")
    parser.add_argument("--temperature", type=float, default=_DEFAULTS.temperature)
    parser.add_argument("--top-k", type=int, default=_DEFAULTS.top_k)
    parser.add_argument("--top-p", type=float, default=_DEFAULTS.top_p)
    parser.add_argument("--min-p", type=float, default=_DEFAULTS.min_p)
    parser.add_argument("--seed", type=int, help="the same seed gives the same answer")
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="ends the answer; repeatable"
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="load a LoRA adapter (PEFT folder or INFQ file); repeatable",
    )
    parser.add_argument(
        "--use", metavar="NAME", help="the adapter to wear; not needed if there is one"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the text")


def run(args: argparse.Namespace) -> int:
    sampling = params(
        max_tokens=args.max_tokens,
        temperature=0.0 if args.greedy else args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        seed=args.seed,
        stop=tuple(args.stop),
    )
    adapters = named_paths(args.adapter, "--adapter")
    adapter = _chosen(args.use, adapters)
    model, prompt = _model_and_prompt(args.arguments, args.model)
    args.model = model
    chat = prompt is None and sys.stdin.isatty()
    if chat and (args.raw or args.json):
        raise UsageError("--raw and --json need a PROMPT")
    if prompt is None and not chat:
        prompt = _standard_input()
    with load(args, adapters, speculate=args.speculate) as llm:
        if prompt is None:
            return chat_loop.run(llm, adapter, sampling)
        return _answer(llm, prompt, adapter, sampling, args)


def _answer(
    llm: LLM, prompt: str, adapter: str | None, sampling: SamplingParams, args: argparse.Namespace
) -> int:
    batch = Batch(llm, [llm.encode(prompt, args.raw)], [adapter], sampling)
    if not args.json:
        code = write_stream(batch.events())
        print(summary(batch.results()[0], args.speculate > 0), file=sys.stderr)
        return code
    for _ in batch.events():
        pass
    print_json(
        dataclasses.asdict(batch.results()[0])
        | {
            "model": str(llm.path),
            "dtype": llm.dtype,
            "adapter": adapter,
            "tier": llm.engine.tier,
            "threads": llm.engine.threads,
        }
    )
    return 0


def _chosen(name: str | None, adapters: dict[str, Path]) -> str | None:
    if name is None:
        if len(adapters) > 1:
            raise UsageError(f"--use NAME is needed to choose among {', '.join(adapters)}")
        return next(iter(adapters), None)
    if name not in adapters:
        raise UsageError(f"--use {name}: no --adapter of that name")
    return name


def _model_and_prompt(arguments: list[str], model: str | None) -> tuple[str | None, str | None]:
    """What the positional arguments mean: a lone one is a model if it looks like a path to one."""
    if len(arguments) > 2 or (len(arguments) == 2 and model is not None):
        raise UsageError("too many arguments: put the prompt in quotes")
    if len(arguments) == 2:
        return arguments[0], arguments[1]
    if not arguments:
        return model, None
    if model is None and _looks_like_model(arguments[0]):
        return arguments[0], None
    return model, arguments[0]


def _looks_like_model(text: str) -> bool:
    if text.endswith((".infq", ".gguf")) and not any(c.isspace() for c in text):
        return True
    try:
        return "/" in text and Path(text).exists()
    except (OSError, ValueError):  # longer than a path may be
        return False


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as e:
        raise UsageError(f"standard input: not UTF-8 at byte {e.start}") from e
