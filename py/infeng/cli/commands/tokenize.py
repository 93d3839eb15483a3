"""infeng tokenize: texts to ids."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from infeng import models
from infeng.cli.console import print_json, print_pairs, print_table
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
    parser.add_argument("--offsets", action="store_true", help="with where each token comes from")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="hold each text against the `tokenizers` package: 1 if any differs",
    )
    parser.add_argument("--json", action="store_true", help='an {"ids": [...]} a line')


def run(args: argparse.Namespace) -> int:
    if (args.text is None) == (args.jsonl is None):
        raise UsageError("give either TEXT or --jsonl FILE")
    source, document = _document(args.tokenizer)
    with native_errors(source):
        tokenizer = Tokenizer.from_bytes(document)
    special = not args.no_special_tokens
    texts = _lines(args.jsonl) if args.jsonl is not None else iter([("TEXT", args.text)])
    if args.compare:
        return _compare(tokenizer, document, texts, special, args.json)
    for where, text in texts:
        with native_errors(where):
            if args.offsets:
                encoding = tokenizer.encoding(text, add_special_tokens=special)
                ids, offsets = encoding.ids.tolist(), encoding.offsets.tolist()
            else:
                ids, offsets = tokenizer.encode(text, add_special_tokens=special).tolist(), None
        if args.json:
            print_json({"ids": ids} if offsets is None else {"ids": ids, "offsets": offsets})
        elif args.jsonl is not None:
            print(*ids)
        elif offsets is None:
            print_table(("id", "piece"), [(i, tokenizer.id_to_token(i)) for i in ids])
        else:
            rows = zip(ids, encoding.tokens, *zip(*offsets, strict=True), strict=True)
            print_table(("id", "piece", "start", "end"), list(rows) if ids else [])
    return 0


def _compare(
    tokenizer: Tokenizer,
    document: bytes,
    texts: Iterator[tuple[str, str]],
    special: bool,
    as_json: bool,
) -> int:
    """Hold ids, tokens and offsets of the texts against the `tokenizers` package."""
    try:
        import tokenizers
    except ImportError as e:
        raise UsageError("--compare needs the Python package `tokenizers`") from e
    reference = tokenizers.Tokenizer.from_str(document.decode())
    count = tokens = differences = 0
    for where, text in texts:
        with native_errors(where):
            ours = tokenizer.encoding(text, add_special_tokens=special)
        theirs = reference.encode(text, add_special_tokens=special)
        count += 1
        tokens += len(theirs.ids)
        columns = {
            "ids": (ours.ids.tolist(), theirs.ids),
            "tokens": (ours.tokens, theirs.tokens),
            "offsets": ([tuple(o) for o in ours.offsets.tolist()], theirs.offsets),
        }
        for name, (got, want) in columns.items():
            if got != want:
                differences += 1
                at = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), -1)
                print(f"{where}: {name} differ at token {at}", file=sys.stderr)
                break
    result = {"texts": count, "tokens": tokens, "texts_that_differ": differences}
    if as_json:
        print_json(result | {"tokenizers": tokenizers.__version__})
    else:
        print_pairs([(key.replace("_", " "), value) for key, value in result.items()])
    return int(differences > 0)


def _document(path: Path | None) -> tuple[str, bytes]:
    """A tokenizer.json, and what to call it in messages. Raises InputError."""
    if path is None:
        path = models.resolve(None, None).path
    elif path.suffix != ".infq":
        try:
            return str(path), path.read_bytes()
        except OSError as e:
            raise InputError(f"{path}: cannot open: {why(e)}") from e
    with native_errors(str(path)):
        return str(path), infq_section(str(path), "tokenizer.json")


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
