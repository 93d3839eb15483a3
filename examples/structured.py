"""An answer that is JSON of a schema, from a model that was never taught it.

infeng serve
python examples/structured.py http://127.0.0.1:8000
"""

import json
import sys

import openai

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["river", "mountain", "city"]},
        "population": {"type": "integer", "minimum": 0, "maximum": 99999999},
    },
    "required": ["name", "kind", "population"],
    "additionalProperties": False,
}


def main(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    answer = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=[{"role": "user", "content": "Describe Paris."}],
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        max_tokens=80,
        seed=1,
    )
    print(json.dumps(json.loads(answer.choices[0].message.content or ""), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
