"""The bodies of responses, as the OpenAPI document tells them. Tests hold every answer of the
server against these; the server itself writes plain dicts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReason = Literal["stop", "length"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Health(Answer):
    status: str


class PromptDetails(Answer):
    cached_tokens: int = Field(description="read before, found in the prefix cache")


class Usage(Answer):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class TopLogprob(Answer):
    token: str
    logprob: float = Field(description="natural logarithm; -9999 for what cannot come")
    bytes: list[int]


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Answer):
    content: list[TokenLogprob]
    refusal: None


class AnswerMessage(Answer):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Answer):
    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(Answer):
    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="seconds since 1970")
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Delta(Answer):
    role: Literal["assistant"] = Field("assistant", description="in a choice's first chunk")
    content: str = ""


class ChunkChoice(Answer):
    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Answer):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice] = Field(description="empty in the chunk that has the usage")
    usage: Usage | None = Field(None, description="in the last chunk, with include_usage")


class TextLogprobs(Answer):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Answer):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: FinishReason | None = Field(description="null in chunks before the last")


class Completion(Answer):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = Field(None, description="in streams: in the last, with include_usage")


class AdapterState(Answer):
    digest: str = Field(description="of the content")
    version: int = Field(description="one more with each reload")
    state: str = Field(description="whether it is in memory")
    bytes: int = Field(description="that it takes there")


class ModelCard(Answer):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int = Field(description="longest context in tokens")
    root: str
    parent: str | None = Field(description="the base model, of an adapter")
    adapter: AdapterState | None = None


class ModelList(Answer):
    object: Literal["list"]
    data: list[ModelCard]


class Loaded(Answer):
    message: str
    digest: str
    version: int


class Unloaded(Answer):
    message: str


class Tokens(Answer):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str | None] | None = None


class Text(Answer):
    prompt: str


class Problem(Answer):
    message: str = Field(description="one line")
    type: str
    param: str | None = Field(description="the field that is wrong")
    code: str | None


class Failure(Answer):
    error: Problem


class Document(BaseModel):
    """OpenAPI 3.1; of its fields only those that every document has."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
