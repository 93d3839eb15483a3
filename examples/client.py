"""OpenAI's client against `infeng serve`: all models at once, and an adapter loaded while it runs.

infeng serve --adapters testdata/adapters/json
python examples/client.py http://127.0.0.1:8000 shout=testdata/adapters/upper
"""

import asyncio
import json
import sys
import urllib.request
from pathlib import Path

import openai


async def ask_all(url: str, question: str) -> None:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    models = [model.id async for model in await client.models.list()]

    async def ask(model: str) -> str:
        answer = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            max_tokens=32,
            temperature=0,
        )
        return answer.choices[0].message.content or ""

    for model, text in zip(models, await asyncio.gather(*map(ask, models))):
        print(f"{model}: {text.strip()}")


def load_adapter(url: str, name: str, path: str) -> None:
    body = {"lora_name": name, "lora_path": str(Path(path).absolute()), "load_inplace": True}
    request = urllib.request.Request(
        f"{url}/v1/load_lora_adapter",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    print(json.load(urllib.request.urlopen(request))["message"])


def main(url: str, *adapters: str) -> None:
    for adapter in adapters:
        load_adapter(url, *adapter.split("=", 1))
    asyncio.run(ask_all(url, "What is the sun?"))


if __name__ == "__main__":
    main(*sys.argv[1:])
