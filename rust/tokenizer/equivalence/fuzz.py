"""A differential fuzzer: random texts through the reference and ours, for as long as one likes.

    tools/bazel run //rust/tokenizer/equivalence:fuzz -- --seconds 1800

Texts are made of pieces of our corpus, of what is known to trip tokenizers, and of random code
points, cut and mixed. A text that shows a new sequence of kinds of characters is interesting: those
are kept in testdata/tokenizer/interesting.json, which the tests go through each time. A text on
which the two differ is made shorter, printed, and ends the run with 1.
"""

import argparse
import json
import os
import pathlib
import random
import sys
import time
import unicodedata

from families import NAMES, text_of
from pairs import Pair, corpus, narrowed, same_encoding
from texts import NASTY

KEPT = pathlib.Path("testdata/tokenizer/interesting.json")
MOST_KEPT = 400


def kind(c):
    """What a pattern may see in a character."""
    if c in " \t\n\r'\u2581":
        return c
    if c.isascii():
        return unicodedata.category(c)[0] + ("u" if c.isupper() else "")
    return f"{unicodedata.category(c)}{len(c.encode('utf-8', 'surrogatepass'))}"


def texts(rng, pieces):
    """Texts without end."""
    while True:
        made = []
        for _ in range(int(rng.expovariate(1 / 5)) + 1):
            way = rng.random()
            if way < 0.45:
                piece = rng.choice(pieces)
                start = rng.randrange(len(piece))
                made.append(piece[start : start + int(rng.expovariate(1 / 15)) + 1])
            elif way < 0.8:
                made.append("".join(rng.choices(NASTY, k=rng.randrange(1, 5))))
            elif way < 0.9:
                code = rng.choice([rng.randrange(0x3000), rng.randrange(0x20000)])
                made.append(chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd")
            else:
                made.append(rng.choice([*NASTY, *"aé漢"]) * int(rng.expovariate(1 / 30) + 1))
        yield "".join(made)


def check(pair, batch):
    """A text on which the two differ, or None."""
    want = pair.reference.encode_batch_fast(batch)
    got = pair.ours.encode_batch(batch)
    for text, theirs, ours in zip(batch, want, got, strict=True):
        if ours.tolist() != theirs.ids:
            return text
    ids = [e.ids for e in want]
    for skip in (False, True):
        for text, theirs, ours in zip(
            batch,
            pair.reference.decode_batch(ids, skip_special_tokens=skip),
            [pair.ours.decode(i, skip_special_tokens=skip) for i in ids],
            strict=True,
        ):
            if theirs != ours:
                return text
    few = batch[:10]
    for text, theirs, ours in zip(
        few, pair.reference.encode_batch(few), pair.ours.encoding_batch(few), strict=True
    ):
        try:
            same_encoding(text, theirs, ours)
        except AssertionError as error:
            print(error)
            return text
    return None


def main():
    """Runs for --seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    folder = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    rng = random.Random(args.seed)
    pairs = {}
    for name in NAMES:
        try:
            pairs[name] = Pair(text_of(name))
        except BaseException as skipped:  # pytest.skip is no Exception
            print(f"{name}: {skipped}")
    pieces = [line for text in corpus() for line in text.splitlines(keepends=True) if line]
    kept = json.loads((folder / KEPT).read_text("utf-8")) if (folder / KEPT).exists() else []
    seen = {tuple(map(kind, t[i : i + 4])) for t in kept for i in range(len(t))}
    source = texts(rng, pieces)
    start, count = time.monotonic(), 0
    print(f"seed {args.seed}, {len(pairs)} tokenizers")
    while time.monotonic() - start < args.seconds:
        batch = [next(source) for _ in range(100)]
        for text in batch:
            short = text[:48]
            new = {tuple(map(kind, short[i : i + 4])) for i in range(len(short))} - seen
            if len(new) > 12 and len(kept) < MOST_KEPT:
                kept.append(short)
                seen |= new
        for name, pair in pairs.items():
            differs = check(pair, batch)
            if differs is not None:
                print(f"{name} differs: {differs!r} {narrowed(pair, differs)}")
                return 1
        count += len(batch)
    (folder / KEPT).parent.mkdir(parents=True, exist_ok=True)
    (folder / KEPT).write_text(json.dumps(kept, ensure_ascii=True, indent=0) + "\n", "utf-8")
    seconds = time.monotonic() - start
    print(f"clean: {count} texts through {len(pairs)} tokenizers in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
