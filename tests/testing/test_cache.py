from __future__ import annotations

from aistrale.testing import brain
from aistrale.testing.cache import MINIMUM, PromptCache
from aistrale.types import CacheHint, Message, Request, TextPart, Tool, Wire

LONG = "word " * 1000
RULES = Message.system(LONG)


def settle(cache, *messages, provider="openai", model="m", **options):
    request = Request(model=model, messages=list(messages), **options)
    usage = brain.answer(request).usage
    settled = cache.settle(provider, request, usage)
    assert settled.input_total == usage.input_total
    return settled


def test_a_long_beginning_is_read_the_second_time():
    cache = PromptCache()
    assert settle(cache, RULES, Message.user("one")).cache_read == 0
    assert settle(cache, RULES, Message.user("two")).cache_read == 1250
    assert settle(cache, Message.user("two"), RULES).cache_read == 0
    cache.clear()
    assert settle(cache, RULES, Message.user("two")).cache_read == 0


def test_the_longest_beginning_counts():
    cache = PromptCache()
    turns = [RULES, Message.user("one"), Message.assistant("two")]
    settle(cache, *turns)
    assert settle(cache, *turns, Message.user("three")).cache_read == 1252


def test_caches_are_per_provider_model_and_tools():
    cache = PromptCache()
    settle(cache, RULES)
    assert settle(cache, RULES, provider="groq").cache_read == 0
    assert settle(cache, RULES, model="n").cache_read == 0
    assert settle(cache, RULES, tools=[Tool("f")]).cache_read == 0
    assert settle(cache, RULES).cache_read == 1250


def test_what_is_short_is_not_cached():
    cache = PromptCache()
    short = Message.user("x" * 4 * (MINIMUM - 1))
    for _ in range(2):
        assert settle(cache, short).cache_read is None


def marked(ttl=None):
    return Message("system", [TextPart(LONG, cache=CacheHint(ttl))])


def test_anthropic_caches_what_is_marked_and_counts_what_it_writes():
    cache = PromptCache()
    plain = settle(cache, RULES, Message.user("one"), provider="anthropic")
    assert (plain.cache_read, plain.cache_write_total) == (None, None)
    first = settle(cache, marked(), Message.user("one"), provider="anthropic")
    assert (first.cache_read, first.cache_write_5m, first.input) == (0, 1250, 1)
    second = settle(cache, marked("1h"), Message.user("two"), provider="anthropic")
    assert (second.cache_read, second.cache_write_1h) == (1250, 0)
    short = Message("user", [TextPart("x", cache=CacheHint())])
    assert settle(cache, short, RULES, provider="anthropic").cache_read is None


def test_a_mark_further_on_writes_the_rest():
    cache = PromptCache()
    settle(cache, marked(), provider="anthropic")
    more = Message("user", [TextPart(LONG, cache=CacheHint())])
    second = settle(cache, marked(), more, Message.user("x"), provider="anthropic")
    assert (second.cache_read, second.cache_write_5m) == (1250, 1250)


def test_tools_and_the_whole_request_can_be_marked():
    cache = PromptCache()
    tool = Tool("f", description=LONG, cache=CacheHint())
    first = settle(cache, Message.user("x"), provider="anthropic", tools=[tool])
    assert first.cache_write_5m > 1250
    assert settle(cache, Message.user("y"), provider="anthropic", tools=[tool]).cache_read == first.cache_write_5m
    wire = Wire("anthropic_messages", {"cache_control": {"type": "ephemeral"}})
    whole = settle(cache, RULES, Message.user("x"), provider="anthropic", wire=wire)
    assert whole.cache_write_5m == whole.input_total
