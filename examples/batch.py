"""Several prompts as one batch, each with an adapter of its own or none.

python examples/batch.py json=testdata/adapters/json upper=testdata/adapters/upper
"""

import sys

from infeng import LLM


def main(arguments: list[str]) -> None:
    adapters = dict(argument.split("=", 1) for argument in arguments)
    with LLM(adapters=adapters) as llm:
        names = [None, *adapters]
        results = llm.generate(
            ["What is the sun?"] * len(names), adapter=names, max_tokens=32, temperature=0.0
        )
        for name, result in zip(names, results):
            print(f"{name or 'base'}: {result.text.strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
