"""Writes the pages that say what programs say of themselves: one of each command, from its
argparse parser, and the server's, from its OpenAPI document.

reference.py OUT... : the files to write, known by their names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infeng.cli.main import COMMANDS, parser_of
from infeng.serve import openapi


def command_page(name: str) -> str:
    """The page of `infeng NAME`."""
    parser = parser_of(name)
    lines = [
        f"# infeng {name}",
        "",
        parser.description or "",
        "",
        f"[The command line](../cli.md) says what all commands share{_in_words(name)}.",
        "",
        "## Usage",
        "",
        *(f"    {line.removeprefix('       ')}" for line in _usage(parser)),
        "",
    ]
    positional = [a for a in parser._actions if not a.option_strings]
    options = [a for a in parser._actions if a.option_strings]
    for title, actions in (("Arguments", positional), ("Options", options)):
        if actions:
            lines += [f"## {title}", "", "| | means | default |", "|---|---|---|"]
            lines += [_row(parser, a) for a in actions]
            lines.append("")
    return "\n".join(lines)


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    return parser.format_usage().removeprefix("usage: ").splitlines()


def _in_words(name: str) -> str:
    headings = _headings(Path("docs/cli.md"))
    return (
        f", and [more of this one](../cli.md#infeng-{name})" if f"infeng {name}" in headings else ""
    )


def _headings(page: Path) -> set[str]:
    return {
        line.lstrip("#").strip() for line in page.read_text().splitlines() if line.startswith("#")
    }


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    value = _value(parser, action)
    names = ", ".join(f"`{n}{value}`" for n in action.option_strings) or f"`{value.strip()}`"
    text = ""
    if action.help:
        # As --help has it, with defaults filled in.
        text = parser._get_formatter()._expand_help(action)
    if action.required and action.option_strings:
        text += " (required)"
    return f"| {names} | {_cell(text)} | {_default(action)} |"


def _value(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    formatter = parser._get_formatter()
    return " " + formatter._format_args(action, formatter._get_default_metavar_for_optional(action))


def _default(action: argparse.Action) -> str:
    value = action.default
    if value in (None, False, argparse.SUPPRESS) or value == []:
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def server_page(document: dict[str, Any]) -> str:
    """The page of the server's routes and of the forms of their bodies."""
    lines = [
        "# Server reference",
        "",
        f"{document['info']['description']} [The server](serve.md) says what is behind it. This "
        "page is made from what the server gives at `GET /openapi.json`; "
        "[the document itself](openapi.json) can be given to tools that make clients.",
        "",
        "## Routes",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += _operation(path, method.upper(), operation)
    lines += ["## Forms", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines)


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {method} {path}", "", operation["summary"], "")
    key = "asked for, if the server has one" if operation["security"] else "not asked for"
    yield from ("| | |", "|---|---|", f"| API key | {key} |")
    body = operation.get("requestBody")
    if body:
        yield f"| request | {_content(body['content'])} |"
    for status, answer in sorted(operation["responses"].items()):
        yield f"| {status} | {_cell(answer['description'])} {_content(answer['content'])} |"
    yield ""


def _content(content: dict[str, Any]) -> str:
    told = []
    for media, value in content.items():
        if media == "application/json":
            told.append(_type(value["schema"]))
        elif media == "text/event-stream":
            data = value["schema"]["properties"]["data"]["anyOf"]
            form = _type(data[0]["contentSchema"])
            told.append(f"with `stream`, `data:` lines with {form} and at the end `[DONE]`")
        else:
            told.append(f"`{media}`")
    return "; ".join(told)


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    required = schema.get("required", [])
    yield from ("| field | type | default | |", "|---|---|---|---|")
    for field, value in schema.get("properties", {}).items():
        default = "required" if field in required else ""
        if value.get("default") is not None:
            default = f"`{json.dumps(value['default'])}`"
        yield f"| `{field}` | {_type(value)} | {default} | {_cell(value.get('description', ''))} |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(s) for s in schema["anyOf"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(v)}`" for v in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        item = _type(schema.get("items", {}))
        return f"array of {f'({item})' if ' or ' in item else item}{_bounds(schema)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    signs = {
        "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}",
        "exclusiveMaximum": "< {}", "minLength": "at least {} characters",
        "maxLength": "at most {} characters", "minItems": "at least {}", "maxItems": "at most {}",
    }  # fmt: skip
    told = [text.format(schema[key]) for key, text in signs.items() if key in schema]
    return f" ({', '.join(told)})".replace("<", "&lt;") if told else ""


def main(outs: list[str]) -> None:
    os.environ["COLUMNS"] = "100"  # or else the width depends on who runs it
    document = openapi.document()
    for out in map(Path, outs):
        if out.name == "openapi.json":
            text = json.dumps(document, indent=1)
        elif out.name == "server_reference.md":
            text = server_page(document)
        else:
            text = command_page(out.stem)
        out.write_text(text + "\n")
    missing = set(COMMANDS) - {Path(o).stem for o in outs}
    if missing:
        sys.exit(f"docs/BUILD.bazel: no page of {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main(sys.argv[1:])
