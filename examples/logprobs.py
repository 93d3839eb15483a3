"""How sure the model is of each token: events carry logprobs when asked.

python examples/logprobs.py
"""

import math

from infeng import LLM


def main() -> None:
    with LLM() as llm:
        events = llm.generate(
            "The capital of France is",
            raw=True,
            stream=True,
            max_tokens=6,
            temperature=0.0,
            logprobs=2,
        )
        for event in events:
            assert event.logprobs is not None
            (_, own), *likeliest = event.logprobs
            others = ", ".join(
                f"{llm.tokenizer.decode([token])!r} {math.exp(logprob):.0%}"
                for token, logprob in likeliest
            )
            print(f"{llm.tokenizer.decode([event.id])!r} {math.exp(own):.0%} (likeliest: {others})")


if __name__ == "__main__":
    main()
