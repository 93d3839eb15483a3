"""Hugging Face's `tokenizers` on a text, as a CSV of the columns of tokenizer.csv.

    tools/bazel run //perf/sweeps/tokenizer:hf_baseline -- --model tokenizer.json --input_file text.txt
        --threads 2 --output tokenizer_py.csv

Both flags take NAME=FILE too, as //perf:tokenizer_sweep does: rows of one name are compared. Documents of about 4,000 characters, cut at line ends; the median of --reps rounds over all of them.
"""

import argparse
import csv
import io
import os
import pathlib
import statistics
import sys
import time

COLUMNS = [
    "impl",
    "model",
    "corpus",
    "threads",
    "prefix_k",
    "prefix_cache_entries",
    "docs",
    "bytes",
    "tokens",
    "tokens_per_s",
    "mb_per_s",
    "speedup_vs_hf",
    "exact_pct",
    "reps",
    "cv_pct",
]


def documents(text: str) -> list[str]:
    """Pieces that end at line ends."""
    found: list[str] = []
    lines: list[str] = []
    length = 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        length += len(line)
        if length >= 4000:
            found.append("".join(lines))
            lines, length = [], 0
    return [*found, "".join(lines)] if lines else found


def named(argument: str) -> tuple[str, pathlib.Path]:
    """NAME=FILE; of a file alone, its stem is the name."""
    name, equals, path = argument.partition("=")
    file = pathlib.Path(path if equals else argument)
    if not file.is_file():
        sys.exit(f"hf_baseline: {file}: no such file")
    return (name if equals else file.stem), file


def main() -> None:
    """Measures and writes the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, metavar="[NAME=]FILE")
    parser.add_argument("--input_file", required=True, metavar="[NAME=]FILE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--output", default="-")
    args = parser.parse_args()
    os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    (model, model_file), (corpus, text_file) = named(args.model), named(args.input_file)
    # Read when the library first makes its threads.
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if args.threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(model_file))
    text = text_file.read_text("utf-8")
    texts = documents(text)
    size = len(text.encode())
    seconds, tokens = [], 0
    for _ in range(args.reps + 1):
        start = time.perf_counter()
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        seconds.append(time.perf_counter() - start)
        tokens = sum(map(len, encodings))
    warm = seconds[1:]
    median = statistics.median(warm)
    row = {
        "impl": "tokenizers",
        "model": model,
        "corpus": corpus,
        "threads": args.threads,
        "prefix_k": 0,
        "prefix_cache_entries": 0,
        "docs": len(texts),
        "bytes": size,
        "tokens": tokens,
        "tokens_per_s": round(tokens / median),
        "mb_per_s": round(size / median / 1e6, 3),
        "speedup_vs_hf": 1.0,
        "exact_pct": 100,
        "reps": args.reps,
        "cv_pct": round(100 * statistics.pstdev(warm) / statistics.mean(warm), 2),
    }
    output = io.StringIO()
    writer = csv.DictWriter(output, COLUMNS)
    writer.writeheader()
    writer.writerow(row)
    if args.output == "-":
        print(output.getvalue(), end="")
    else:
        pathlib.Path(args.output).write_text(output.getvalue(), "utf-8")


if __name__ == "__main__":
    main()
