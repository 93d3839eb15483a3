"""infeng tokenize: texts to ids."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from infeng import models
from infeng.cli.console import print_json, print_table
from infeng.errors import InputError, UsageError, native_errors, why
from infeng.jsontext import parse_object, short
from infeng.native import Tokenizer, infq_section


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the text, without --jsonl")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="tokenizer.json or INFQ file; left out: the default model's",
    )
    parser.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help='texts, a {"text": ...} a line; - is standard input',
    )
    parser.add_argument(
        "--no-special-tokens",
        action="store_true",
        help="without those that the tokenizer puts around a text",
    )
    parser.add_argument("--json", action="store_true", help='an {"ids": [...]} a line')


def run(args: argparse.Namespace) -> int:
    if (args.text is None) == (args.jsonl is None):
        raise UsageError("give either TEXT or --jsonl FILE")
    tokenizer = _tokenizer(args.tokenizer)
    if args.jsonl is not None:
        texts = _lines(args.jsonl)
    else:
        texts = iter([("TEXT", args.text)])
    for where, text in texts:
        with native_errors(where):
            ids = tokenizer.encode(text, add_special_tokens=not args.no_special_tokens).tolist()
        if args.json:
            print_json({"ids": ids})
        elif args.jsonl is not None:
            print(*ids)
        else:
            print_table(("id", "piece"), [(i, tokenizer.id_to_token(i)) for i in ids])
    return 0


def _tokenizer(path: Path | None) -> Tokenizer:
    if path is None:
        path = models.resolve(None, None).path
    elif path.suffix != ".infq":
        with native_errors(str(path)):
            return Tokenizer.from_file(str(path))
    with native_errors(str(path)):
        return Tokenizer.from_bytes(infq_section(str(path), "tokenizer.json"))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line's place, for messages, and text. Raises InputError."""
    try:
        file = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with file:
            for number, line in enumerate(file, 1):
                where = f"{path}: line {number}"
                text = parse_object(line, where).get("text")
                if not isinstance(text, str):
                    raise InputError(f"{where}: text: expected a string, found {short(text)}")
                yield where, text
    except OSError as e:
        raise InputError(f"{path}: cannot read: {why(e)}") from e
