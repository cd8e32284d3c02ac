"""Writing the options of a chat request, as far as the target takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aistrale.dialects._chat_wire import NAME, Context, is_foreign, words_of
from aistrale.types import REASONING_EFFORTS, JSONObject

if TYPE_CHECKING:
    from aistrale.types import Reasoning, Request

# Written under their own names; the caller chose them, so that dropping one is never silent.
_PLAIN: Final = (
    "temperature",
    "top_p",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "parallel_tool_calls",
    "metadata",
)
_SAMPLING: Final = frozenset({"temperature", "top_p"})
# Service tiers of the other dialects in OpenAI's words; the tiers of this dialect's servers go as they are.
_TIERS: Final = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "standard": "default",
    "standard_only": "default",
}
# State that the other provider keeps: the request means nothing without it.
_STORED: Final = frozenset(
    {
        "previous_response_id",
        "conversation",
        "prompt",
        "container",
        "cachedContent",
        "previous_interaction_id",
        "continuationToken",
        "background",
    }
)
# Says nothing here: it asks for details of hosted tools and for opaque state, and this dialect has neither.
_IDLE: Final = frozenset({"include"})
# Upper bounds, in tokens, below which a thinking budget is taken for the effort beside it (our own scale).
_BUDGETS: Final = ((0, "none"), (2048, "low"), (8192, "medium"), (24576, "high"))


def encode_options(request: Request, words: list[str], context: Context) -> JSONObject:
    """Everything in the body but model, messages, tools, format and streaming."""
    body: JSONObject = {}
    _write_limit(request, words, context, body)
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None and _taken(name, value, request, context):
            body[name] = value
    _write_stop(request, words, context, body)
    _write_logprobs(request, words, context, body)
    _write_names(request, words, context, body)
    if request.top_k is not None:
        if context.own:
            body["top_k"] = request.top_k
        else:
            context.loss.unsupported("top_k", "the OpenAI chat format has no such option")
    if request.reasoning is not None:
        body.update(_reasoning(request.reasoning, context))
    if is_foreign(request.wire):
        _report_foreign(request, context)
    return body


def _taken(name: str, value: object, request: Request, context: Context) -> bool:
    """Whether the target takes the option; if not, that is refused or recorded."""
    profile = context.profile
    if name == "parallel_tool_calls" and not request.tools and not context.own:
        return False
    if name in _SAMPLING and not profile.sampling:
        if value == 1:
            # The default, which such models accept; from elsewhere it goes without saying.
            return context.own
        context.loss.unsupported(name, "the model chooses its own sampling")
        return False
    if name in profile.unsupported:
        if name == "n" and value == 1:
            return False
        context.loss.unsupported(name, "the target takes no such option")
        return False
    return True


def _write_limit(request: Request, words: list[str], context: Context, body: JSONObject) -> None:
    if request.max_tokens is None:
        return
    # The older name goes as the caller wrote it, except to reasoning models, which refuse it.
    legacy = context.own and "max_tokens" in words and context.profile.sampling
    name = "max_tokens" if legacy else context.profile.max_tokens_field
    body[name] = request.max_tokens


def _write_stop(request: Request, words: list[str], context: Context, body: JSONObject) -> None:
    stop = request.stop
    if stop is None:
        return
    most = context.profile.stop
    if "stop" in context.profile.unsupported or most == 0:
        if stop:
            context.loss.unsupported("stop", "the model takes no stop sequences")
        return
    if most is not None and len(stop) > most:
        context.loss.unsupported("stop", f"the target takes at most {most} stop sequences")
        stop = stop[:most]
    if "stop" in words and len(stop) == 1:
        body["stop"] = stop[0]
    elif stop or context.own:
        body["stop"] = list(stop)


def _write_logprobs(request: Request, words: list[str], context: Context, body: JSONObject) -> None:
    if request.logprobs is None:
        if "logprobs" in words:
            body["logprobs"] = False
        return
    if "logprobs" in context.profile.unsupported:
        context.loss.unsupported("logprobs", "the target reports no log probabilities")
        return
    body["logprobs"] = True
    if request.logprobs or "top_logprobs" in words:
        body["top_logprobs"] = request.logprobs


def _write_names(request: Request, words: list[str], context: Context, body: JSONObject) -> None:
    unsupported = context.profile.unsupported
    if request.user is not None:
        if "user" in unsupported:
            context.loss.unsupported("user", "the target takes no user id")
        else:
            body["safety_identifier" if "safety_identifier" in words else "user"] = request.user
    if request.cache_key is not None:
        if "cache_key" in unsupported:
            context.loss.drop("cache_key", "the target has no cache key; it caches by itself, if at all")
        else:
            body["prompt_cache_key"] = request.cache_key
    tier = request.service_tier
    if tier is None:
        return
    if "service_tier" in unsupported:
        context.loss.unsupported("service_tier", "the target has no service tiers")
    elif request.source in {None, NAME}:
        body["service_tier"] = tier
    elif tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    else:
        context.loss.drop("service_tier", f"the target has no tier {tier!r}")


def _reasoning(reasoning: Reasoning, context: Context) -> JSONObject:
    profile = context.profile
    if "default" in words_of(reasoning.wire) and reasoning.effort is None and reasoning.budget is None:
        return {"reasoning_effort": "default"} if not profile.efforts or "default" in profile.efforts else {}
    if reasoning.include and not context.own:
        context.loss.drop("reasoning.include", "thoughts cannot be asked for here; a server gives them or not")
    effort = reasoning.effort
    if effort is None and reasoning.budget is not None:
        effort = _effort_for(reasoning.budget)
        context.loss.emulate("reasoning.budget", f"said as the effort {effort!r}")
    if effort is None:
        return {}
    if profile.thinking == "none" or "reasoning" in profile.unsupported:
        if effort == "none":
            return {"reasoning_effort": effort} if context.own else {}
        context.loss.unsupported("reasoning.effort", "the model does not take a reasoning effort")
        return {}
    if profile.efforts and effort not in profile.efforts:
        nearest = nearest_effort(effort, profile.efforts)
        context.loss.emulate("reasoning.effort", f"the model has no effort {effort!r}; {nearest!r} is the nearest")
        effort = nearest
    return {"reasoning_effort": effort}


def _effort_for(budget: int) -> str:
    return next((effort for bound, effort in _BUDGETS if budget <= bound), "xhigh")


def nearest_effort(effort: str, efforts: tuple[str, ...]) -> str:
    """The effort of the target that is nearest on the ladder; of two equally near ones the lower."""
    ladder = {name: rank for rank, name in enumerate(REASONING_EFFORTS)}
    # A word off the ladder ("default") stands for its middle.
    middle = ladder["medium"]
    wanted = ladder.get(effort, middle)
    ranked = [(abs(ladder.get(name, middle) - wanted), position) for position, name in enumerate(efforts)]
    return efforts[min(ranked)[1]]


def _report_foreign(request: Request, context: Context) -> None:
    """What the other dialect noted about the request and this one has no word for."""
    wire = request.wire
    if wire is None:
        return
    for name, value in wire.fields.items():
        if name in _IDLE or value is None or value is False or value in ([], {}, "", "disabled"):
            continue
        if name in _STORED:
            context.loss.refuse(name, "state that another provider keeps cannot move to this one")
        context.loss.drop(name, f"an option of {wire.dialect} that this format does not have")
