"""infeng's tokenizer beside other packages: MB/s on text that their caches have not seen.

    pip install tokenizers gigatoken fastokens splintr-rs
    python3 perf/sweeps/tokenizer/peers.py --model NAME=tokenizer.json ... --text NAME=FILE ... --out OUT.json

`infeng` must be importable too (a wheel, or PYTHONPATH). Each measurement is a process of its own:
it loads a tokenizer, encodes the first half of a text to warm up, and is timed on the second half,
in CPU time. The packages take turns (A B C, C B A, ...), so that all see the same noise. Ids are
compared with those of `tokenizers`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PACKAGES = ["tokenizers", "infeng", "gigatoken", "fastokens", "splintr"]


def loaded(package: str, path: str) -> Callable[[list[str]], Any]:
    """A function from a list of texts to a list of ids, by one thread."""
    if package == "tokenizers":
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(path)
        return lambda texts: [
            e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ]
    if package == "infeng":
        import infeng.native

        tokenizer = infeng.native.Tokenizer.from_file(path)
        return lambda texts: tokenizer.encode_batch(texts, add_special_tokens=False, threads=1)
    if package == "gigatoken":
        import gigatoken

        tokenizer = gigatoken.Tokenizer(path)
        return lambda texts: tokenizer.encode_batch_list(texts, parallel=False)
    if package == "fastokens":
        import fastokens

        tokenizer = fastokens.Tokenizer.from_file(path)
        return lambda texts: [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
    import splintr

    tokenizer = splintr.from_json(path)
    return lambda texts: [tokenizer.encode(t) for t in texts]


def documents(text: str, size: int) -> list[str]:
    """The text cut at line ends into documents of about that many characters."""
    found: list[str] = []
    lines: list[str] = []
    length = 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        length += len(line)
        if length >= size:
            found.append("".join(lines))
            lines, length = [], 0
    return [*found, "".join(lines)] if lines else found


def prompts(text: str) -> list[str]:
    """Short prompts such as a chat has, each another piece of the text."""
    lines = [line.strip() for line in text.splitlines() if 20 < len(line) < 400]
    return [f"<|im_start|>user\n{line}<|im_end|>\n<|im_start|>assistant\n" for line in lines]


def one(package: str, model: str, text: str, kind: str) -> dict[str, Any]:
    """Loads, warms up on the first half, measures the second: a dict."""
    all_text = pathlib.Path(text).read_text("utf-8")
    pieces = prompts(all_text) if kind == "prompts" else documents(all_text, 20_000)
    random.Random(1).shuffle(pieces)
    half = len(pieces) // 2
    start = time.process_time()
    encode = loaded(package, model)
    load_s = time.process_time() - start
    encode(pieces[:half])
    unseen = pieces[half:]
    start = time.process_time()
    if kind == "prompts":
        ids = [encode([piece])[0] for piece in unseen]
    else:
        ids = encode(unseen)
    seconds = time.process_time() - start
    digest = hashlib.sha256(json.dumps([list(map(int, i)) for i in ids]).encode()).hexdigest()
    return {
        "seconds": seconds,
        "load_s": load_s,
        "bytes": sum(len(piece.encode()) for piece in unseen),
        "documents": len(unseen),
        "tokens": sum(map(len, ids)),
        "digest": digest,
    }


def measured(package: str, model: str, text: str, kind: str) -> dict[str, Any]:
    """`one` in a process of its own; what went wrong if it fails."""
    command = [sys.executable, __file__, "--one", package, model, text, kind]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures all, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--text", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--package", action="append", choices=PACKAGES)
    parser.add_argument("--kind", choices=["documents", "prompts"], default="documents")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(*args.one)))
        return
    packages = args.package or PACKAGES
    rows = []
    for model_name, model in (m.split("=", 1) for m in args.model):
        for text_name, text in (t.split("=", 1) for t in args.text):
            runs: dict[str, list[dict[str, Any]]] = {package: [] for package in packages}
            for turn in range(args.rounds):
                for package in packages if turn % 2 == 0 else packages[::-1]:
                    failed = runs[package] and "error" in runs[package][0]
                    if not failed:
                        runs[package].append(measured(package, model, text, args.kind))
            reference = runs.get("tokenizers", [{}])[0].get("digest")
            for package, results in runs.items():
                row = {"model": model_name, "text": text_name, "package": package}
                if "error" in results[0]:
                    rows.append(row | results[0])
                else:
                    best = statistics.median(r["seconds"] for r in results)
                    rows.append(
                        row
                        | {
                            "mb_per_s": round(results[0]["bytes"] / best / 1e6, 2),
                            "documents_per_s": round(results[0]["documents"] / best),
                            "load_s": round(min(r["load_s"] for r in results), 3),
                            "exact": results[0]["digest"] == reference,
                        }
                    )
                print(json.dumps(rows[-1]), flush=True)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
