"""Holds Python's OpenAI client to a gateway: chat, streams, tools, responses, embeddings and errors of one model."""

import sys

import openai
from pydantic import BaseModel

MODEL = sys.argv[1]
TEXT = "It is warm in Paris."
QUESTION = "What is the weather in Paris?"
MESSAGES = [{"role": "user", "content": QUESTION}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}


class Weather(BaseModel):
    city: str
    celsius: float


def check_chat(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert whole.choices[0].message.content == TEXT, whole
    assert whole.usage.total_tokens == 15, whole.usage
    assert whole._request_id.startswith("req_"), whole._request_id
    parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Paris", celsius=21), parsed
    called = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=[TOOL])
    call = called.choices[0].message.tool_calls[0]
    assert call.function.arguments.replace(" ", "") == '{"city":"Paris"}', call
    result = {"role": "tool", "tool_call_id": call.id, "content": "warm"}
    messages = [*MESSAGES, called.choices[0].message, result]
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    assert last.choices[0].message.content == TEXT, last


def check_streams(client: openai.OpenAI) -> None:
    text = ""
    usage = None
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == TEXT and usage.total_tokens == 15, (text, usage)
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=[TOOL]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [event.name for event in done] == ["weather"], done
    with client.responses.stream(model=MODEL, input=QUESTION) as events:
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == TEXT, text


def check_responses(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input=QUESTION)
    assert whole.output_text == TEXT and whole.usage.total_tokens == 15, whole
    parsed = client.responses.parse(model=MODEL, input=QUESTION, text_format=Weather)
    assert parsed.output_parsed == Weather(city="Paris", celsius=21), parsed


def check_embeddings(client: openai.OpenAI) -> None:
    for model in ("vectors", "gemini-vectors"):
        answer = client.embeddings.create(model=model, input=["a", "b"])
        assert [entry.embedding for entry in answer.data] == [[0.25, -0.5, 0.125]] * 2, answer


def check_errors(client: openai.OpenAI) -> None:
    def fails(kind: type[Exception], **fields: object) -> None:
        try:
            client.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, **fields})
        except kind:
            return
        raise AssertionError(f"no {kind.__name__}")

    fails(openai.NotFoundError, model="nothing")
    fails(openai.BadRequestError, temperature=99)
    try:
        client.with_options(api_key="sk-pen-nobody-nothing").models.list()
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error.code
    else:
        raise AssertionError("no AuthenticationError")
    names = [model.id for model in client.models.list()]
    assert MODEL in names, names


with openai.OpenAI(max_retries=0) as opened:
    for check in (check_chat, check_streams, check_responses, check_embeddings, check_errors):
        check(opened)
