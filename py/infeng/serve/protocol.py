"""The bodies of requests. Names and meanings are OpenAI's, further ones vLLM's.

A field that would change the answer and is not known here is refused, never ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from infeng.chat import Message
from infeng.generation import SamplingParams

MAX_CHOICES = 32
_DEFAULTS = SamplingParams()

StopText = Annotated[str, Field(min_length=1)]
Stop = Annotated[list[StopText], Field(max_length=16)]
Bias = Annotated[float, Field(ge=-100, le=100)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StreamOptions(Body):
    include_usage: bool = Field(False, description="a last chunk tells the tokens")
    include_obfuscation: bool = Field(False, description="taken and of no effect")


class JsonSchema(Body):
    name: str = "schema"
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is needed with type json_schema, and only there")
        return self


class Generation(Body):
    """What both kinds of requests have."""

    model: str = Field(description="the base model's name or an adapter's")
    stream: bool = Field(False, description="answer as server-sent events")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, description="of the answer")
    temperature: float | None = Field(
        None, ge=0, le=2, description=f"0: the likeliest token always; {_DEFAULTS.temperature}"
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"draw from the likeliest tokens of this weight; {_DEFAULTS.top_p}",
    )
    top_k: int | None = Field(
        None, ge=-1, description="draw from so many tokens; 0 and -1: from all"
    )
    min_p: float | None = Field(
        None, ge=0, le=1, description="least probability, as a share of the likeliest token's"
    )
    n: int | None = Field(
        None, ge=1, le=MAX_CHOICES, description="choices, drawn with seed, seed + 1, ...; 1"
    )
    seed: int | None = Field(
        None, ge=-(1 << 63), lt=1 << 64, description="the same gives the same answer, anywhere"
    )
    stop: StopText | Stop | None = Field(None, description="texts that end the answer")
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="taken from the logit of each token that has come"
    )
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="taken as many times as a token has come"
    )
    repetition_penalty: float | None = Field(
        None, gt=0, le=10, description="divides positive logits of tokens that were there, "
        "multiplies negative ones"
    )  # fmt: skip
    logit_bias: dict[str, Bias] | None = Field(
        None,
        description="added to logits, by token id",
        json_schema_extra={"propertyNames": {"pattern": "^[0-9]+$"}},
    )
    response_format: ResponseFormat | None = Field(
        None, description="JSON, of a schema if there is one"
    )
    ignore_eos: bool = Field(False, description="go on to max_tokens")
    priority: int = Field(0, description="the lower goes first")
    # They change no token.
    user: str | None = Field(None, description="of no effect, as the next three")
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def sampling(
        self, max_tokens: int | None, logprobs: int | None, default_max_tokens: int
    ) -> dict[str, Any]:
        """Arguments of SamplingParams; those that are not given have the library's defaults."""
        values: dict[str, Any] = {
            "max_tokens": max_tokens or default_max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k == -1 else self.top_k,
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
        }
        values = {key: value for key, value in values.items() if value is not None}
        return values | {
            "stop": self.stops,
            "logit_bias": tuple((int(k), v) for k, v in (self.logit_bias or {}).items()),
            "logprobs": logprobs,
            "ignore_eos": self.ignore_eos,
        }

    @model_validator(mode="after")
    def _biases(self) -> Generation:
        for key in self.logit_bias or {}:
            if not key.isascii() or not key.isdigit():
                raise ValueError(f"logit_bias: {key[:20]!r} is no token id")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: only with stream")
        return self


class ContentPart(Body):
    type: Literal["text"]
    text: str


class ChatMessage(Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]
    name: str | None = None

    def message(self) -> Message:
        text = self.content
        if not isinstance(text, str):
            text = "".join(part.text for part in text)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class ChatRequest(Generation):
    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, description="goes before max_tokens")
    logprobs: bool | None = Field(None, description="of the model, before any parameter")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="of so many tokens each time")

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: only with logprobs")
        return self


class CompletionRequest(Generation):
    prompt: str | TokenIds | list[str] | list[TokenIds] = Field(
        description="no chat template is put around it"
    )
    logprobs: int | None = Field(None, ge=0, le=20, description="of so many tokens each time")
    echo: Literal[False] | None = None
    best_of: int | None = Field(None, ge=1, description="only as many as n")
    suffix: Literal[""] | None = None

    @model_validator(mode="after")
    def _best_of_is_n(self) -> CompletionRequest:
        if self.best_of not in (None, self.choices):
            raise ValueError("best_of: only as many as n")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        prompt: Any = self.prompt
        if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
            return [prompt]
        return [*prompt]


class LoadAdapter(Body):
    lora_name: str = Field(min_length=1, max_length=200)
    lora_path: str = Field(
        min_length=1, max_length=4096, description="PEFT folder or INFQ adapter, on the server"
    )
    load_inplace: bool = Field(False, description="replace the one of that name")


class UnloadAdapter(Body):
    lora_name: str
    lora_int_id: int | None = Field(None, description="of no effect")


class Tokenize(Body):
    model: str | None = None
    prompt: str | None = Field(None, description="either this or messages")
    messages: list[ChatMessage] | None = Field(None, description="put into the chat template")
    add_special_tokens: bool = Field(True, description="around a prompt")
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one(self) -> Tokenize:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("either prompt or messages")
        return self


class Detokenize(Body):
    model: str | None = None
    tokens: list[int]
