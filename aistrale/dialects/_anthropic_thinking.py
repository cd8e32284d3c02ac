"""How much a Claude model should think: the hub's Reasoning to `thinking` and `output_config.effort`, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._anthropic_blocks import NAME, Out, merge_kept
from aistrale.dialects.shape import as_object, form_of, get_int, get_str, kept, rest
from aistrale.types import REASONING_EFFORTS, Reasoning, Wire

if TYPE_CHECKING:
    from aistrale.types import JSON, JSONObject

# Models that take a budget know no effort. 1024 tokens is the API's minimum (Anthropic Messages API reference,
# `thinking`); 4000, 10000 and 31999 are the steps "think", "think hard" and "ultrathink" of Anthropic's own coding
# agent for these models; "high" lies between its upper two. Above about 32000 tokens Anthropic's guide to extended
# thinking advises batch processing, since connections break while the model thinks: only "max" goes there, as far as
# the output limit of the last models that take budgets (64000 tokens) lets it.
BUDGETS = {"minimal": 1024, "low": 4000, "medium": 10_000, "high": 20_000, "xhigh": 31_999, "max": 63_999}
MIN_BUDGET = 1024
# What the format itself can say, lowest first.
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
# What adaptive thinking does where nothing is said (Anthropic's guide to adaptive thinking).
_DEFAULT_EFFORT = "high"
# Share of the output limit that a budget leaves for the answer itself.
_ANSWER_SHARE = 0.25

_FORMS = frozenset({"enabled", "adaptive", "between_tools", "disabled"})
_DISPLAYS = {"summarized": True, "omitted": False}


def decode_reasoning(thinking: JSON, config: JSONObject, fields: JSONObject) -> Reasoning | None:
    """Decode `thinking` and the effort of `output_config`.

    Args:
        thinking: The body's field.
        config: What is left of `output_config`; the effort is taken from it.
        fields: Gets a `thinking` of a kind that is not known, verbatim.
    """
    settings = None if thinking is None else as_object(thinking, "thinking")
    form = settings.get("type") if settings is not None else None
    if settings is not None and (type(form) is not str or form not in _FORMS):
        fields["thinking"] = settings
        settings = None
    if settings is not None and form == "disabled":
        # An effort beside it still governs the answer, but not thoughts: it stays in `output_config`.
        return Reasoning("none", wire=Wire(NAME, rest(settings, ("type",)), "disabled"))
    effort = get_str(config, "effort")
    if effort is not None:
        del config["effort"]
    if settings is None:
        return Reasoning(effort, wire=Wire(NAME, form="effort")) if effort is not None else None
    display = settings.get("display")
    include = _DISPLAYS.get(display) if type(display) is str else None
    modelled = ["type", "budget_tokens"] if include is None else ["type", "budget_tokens", "display"]
    budget = get_int(settings, "budget_tokens")
    return Reasoning(effort, budget, include, Wire(NAME, rest(settings, modelled), str(form)))


def encode_reasoning(reasoning: Reasoning, limit: int | None, out: Out) -> tuple[JSONObject | None, str | None]:
    """Encode how much to think.

    Args:
        reasoning: What is asked for.
        limit: The request's output limit in tokens, which a budget must stay below; None where it is ours to choose.
        out: The target; its profile says which way of asking it takes.

    Returns:
        The body's `thinking` and the effort for `output_config`.
    """
    form = form_of(reasoning.wire, NAME)
    mode = out.profile.thinking
    verbatim = form != "disabled" if reasoning.effort != "none" else form == "disabled"
    unfit = (form == "adaptive" and mode == "budget") or (form == "enabled" and mode == "adaptive")
    if form and verbatim and (out.lenient or not unfit) and mode != "none":
        return _verbatim(reasoning, form)
    if mode == "none":
        if reasoning.effort != "none" and (reasoning.effort is not None or reasoning.budget is not None):
            out.loss.unsupported("reasoning", "this model does not think")
        return None, None
    if mode == "budget":
        return _budget(reasoning, limit, out), None
    return _adaptive(reasoning, out)


def _verbatim(reasoning: Reasoning, form: str) -> tuple[JSONObject | None, str | None]:
    if form == "disabled":
        disabled: JSONObject = {"type": "disabled"}
        merge_kept(disabled, kept(reasoning.wire, NAME))
        return disabled, None
    if form == "effort":
        return None, reasoning.effort
    thinking: JSONObject = {"type": form}
    if reasoning.budget is not None:
        thinking["budget_tokens"] = reasoning.budget
    _display(thinking, reasoning)
    merge_kept(thinking, kept(reasoning.wire, NAME))
    return thinking, reasoning.effort


def _display(thinking: JSONObject, reasoning: Reasoning) -> None:
    if reasoning.include is not None:
        thinking["display"] = "summarized" if reasoning.include else "omitted"


def _budget(reasoning: Reasoning, limit: int | None, out: Out) -> JSONObject | None:
    wanted = reasoning.budget
    if wanted is None:
        if reasoning.effort == "none":
            return {"type": "disabled"}
        if reasoning.effort is None and form_of(reasoning.wire, NAME) != "adaptive":
            return None
        wanted = BUDGETS.get(reasoning.effort or _DEFAULT_EFFORT, BUDGETS[_DEFAULT_EFFORT])
    elif wanted == 0:
        return {"type": "disabled"}
    budget = max(wanted, MIN_BUDGET) if wanted > 0 else BUDGETS[_DEFAULT_EFFORT]
    ceiling = min((bound for bound in (limit, out.profile.max_output) if bound is not None), default=None)
    if ceiling is not None and budget >= ceiling:
        budget = min(int(ceiling * (1 - _ANSWER_SHARE)), ceiling - 1)
    if budget < MIN_BUDGET:
        out.loss.drop("reasoning", f"an output limit of {ceiling} tokens leaves no room for {MIN_BUDGET} of thought")
        return {"type": "disabled"}
    if budget != reasoning.budget:
        asked = f"effort {reasoning.effort!r}" if reasoning.budget is None else f"a budget of {reasoning.budget}"
        out.loss.emulate("reasoning", f"{asked} becomes a thinking budget of {budget} tokens")
    thinking: JSONObject = {"type": "enabled", "budget_tokens": budget}
    _display(thinking, reasoning)
    return thinking


def _adaptive(reasoning: Reasoning, out: Out) -> tuple[JSONObject | None, str | None]:
    asked = reasoning.effort
    effort = asked
    if effort is None and reasoning.budget is not None:
        effort = _effort_for(reasoning.budget)
        out.loss.emulate("reasoning.budget", f"a budget of {reasoning.budget} tokens becomes effort {effort!r}")
        asked = effort
    if effort is not None:
        effort = _nearest(effort, out.profile.efforts or ("none", *_EFFORTS))
    if effort != asked:
        out.loss.emulate("reasoning.effort", f"effort {asked!r} becomes {effort!r}, the nearest that the model takes")
    if effort == "none":
        return {"type": "disabled"}, None
    if effort is None and reasoning.include is None:
        return None, None
    thinking: JSONObject = {"type": "adaptive"}
    _display(thinking, reasoning)
    return thinking, effort


def _effort_for(budget: int) -> str:
    """The effort whose budget is the smallest that is not below; none at all for a budget of 0."""
    if budget == 0:
        return "none"
    if budget < 0:  # Gemini's "as much as you like"
        return _DEFAULT_EFFORT
    return next((effort for effort in _EFFORTS if BUDGETS[effort] >= budget), _EFFORTS[-1])


def _nearest(effort: str, taken: tuple[str, ...]) -> str:
    """The nearest effort that is taken, the higher of two; a word that nobody knows passes."""
    if effort in taken or effort not in REASONING_EFFORTS:
        return effort
    rank = REASONING_EFFORTS.index
    known = [word for word in taken if word in REASONING_EFFORTS]
    if effort != "none":
        known = [word for word in known if word != "none"] or known
    return min(known, key=lambda word: (abs(rank(word) - rank(effort)), -rank(word)), default=effort)
