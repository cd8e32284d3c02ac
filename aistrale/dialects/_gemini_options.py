"""Gemini's `generationConfig`, both ways: sampling, limits, structured output, thinking.

Source: Gemini API reference, `GenerationConfig`, `ThinkingConfig`; the table of efforts is the one that Google
documents for its OpenAI-compatible endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.dialects._gemini_names import NAME, both, own, put, take, value_of, wired, words_of
from aistrale.dialects._gemini_schema import back_to_gemini, to_json_schema
from aistrale.dialects.shape import as_bool, as_int, as_list, as_number, as_object, as_str, kept
from aistrale.types import REASONING_EFFORTS, OutputFormat, Reasoning

if TYPE_CHECKING:
    from aistrale.dialects.base import Loss, Profile
    from aistrale.types import JSON, JSONObject, Request

_JSON_MIME = "application/json"
_SCALARS = {
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_COUNTS = {"topK": "top_k", "maxOutputTokens": "max_tokens", "candidateCount": "n", "seed": "seed"}
_MODELLED = both(
    *_SCALARS,
    *_COUNTS,
    "stopSequences",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "thinkingConfig",
)
_THINKING = both("includeThoughts", "thinkingBudget", "thinkingLevel")
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_DYNAMIC = -1
_TEXT_ONLY: JSON = ["TEXT"]


def decode_options(config: JSONObject, request: Request, words: list[str]) -> JSONObject:
    """Read `generationConfig` into the request.

    Args:
        config: The object.
        request: Gets the options.
        words: The request's form; gets the snake_case spellings.

    Returns:
        What the hub does not model, verbatim.
    """
    fields = {key: value for key, value in config.items() if value is None or key not in _MODELLED}
    for name, option in _SCALARS.items():
        value = take(config, name, words)
        if value is not None:
            setattr(request, option, as_number(value, f"generationConfig.{name}"))
    for name, option in _COUNTS.items():
        value = take(config, name, words)
        if type(value) is float and not value.is_integer():
            fields[name] = value  # the API types topK as a number
        elif value is not None:
            setattr(request, option, as_int(value, f"generationConfig.{name}"))
    stop = take(config, "stopSequences", words)
    if stop is not None:
        request.stop = [
            as_str(item, "generationConfig.stopSequences") for item in as_list(stop, "generationConfig.stopSequences")
        ]
    _read_logprobs(config, request, fields, words)
    request.output = _read_output(config, fields)
    if fields.get("responseModalities") == _TEXT_ONLY:
        # The default, which clients like to spell out: nothing that another provider would have to do without.
        del fields["responseModalities"]
        words.append("text-only")
    thinking = take(config, "thinkingConfig", words)
    if thinking is not None:
        request.reasoning = _read_thinking(as_object(thinking, "generationConfig.thinkingConfig"))
    return fields


def _read_logprobs(config: JSONObject, request: Request, fields: JSONObject, words: list[str]) -> None:
    wanted = take(config, "responseLogprobs", words)
    count = config.get("logprobs")
    if wanted is not None and as_bool(wanted, "generationConfig.responseLogprobs"):
        request.logprobs = 0 if count is None else as_int(count, "generationConfig.logprobs")
        if count == 0:
            words.append("logprobs")
        return
    if wanted is not None:
        fields["response_logprobs" if "response_logprobs" in words else "responseLogprobs"] = wanted
    if count is not None:
        fields["logprobs"] = count


def _read_output(config: JSONObject, fields: JSONObject) -> OutputFormat | None:
    words: list[str] = []
    mime = take(config, "responseMimeType", words)
    mime = None if mime is None else as_str(mime, "generationConfig.responseMimeType")
    if mime not in (None, _JSON_MIME, "text/plain"):
        # Plain enum values and the like are no JSON: only Gemini knows what they mean.
        fields.update({key: config[key] for key in both("responseMimeType", "responseSchema") if key in config})
        fields.update({key: config[key] for key in both("responseJsonSchema") if key in config})
        return None
    schema = take(config, "responseJsonSchema", words)
    openapi = take(config, "responseSchema", words)
    extra: JSONObject = {}
    if mime is None:
        words.append("mimeless")
    if schema is not None and openapi is not None:
        fields["response_schema" if "response_schema" in words else "responseSchema"] = openapi
    if schema is not None:
        output = OutputFormat("json_schema", as_object(schema, "generationConfig.responseJsonSchema"))
        words.append("schema")
    elif openapi is not None:
        original = as_object(openapi, "generationConfig.responseSchema")
        output = OutputFormat("json_schema", to_json_schema(original, "generationConfig.responseSchema"))
        extra["responseSchema"] = original
        words.append("openapi")
    elif mime is None:
        return None
    else:
        output = OutputFormat("json_object" if mime == _JSON_MIME else "text")
    if mime == "text/plain":
        words.append("plain")
    output.wire = wired(extra, [*words, "output"])
    return output


def _read_thinking(config: JSONObject) -> Reasoning:
    words: list[str] = ["thinking"]
    fields: JSONObject = {key: value for key, value in config.items() if value is None or key not in _THINKING}
    reasoning = Reasoning()
    include = take(config, "includeThoughts", words)
    if include is not None:
        reasoning.include = as_bool(include, "generationConfig.thinkingConfig.includeThoughts")
    level = take(config, "thinkingLevel", words)
    if level is not None:
        raw = as_str(level, "generationConfig.thinkingConfig.thinkingLevel")
        if raw.lower() in REASONING_EFFORTS:
            reasoning.effort = raw.lower()
            words.append(f"level={raw}")
        else:
            fields["thinking_level" if "thinking_level" in words else "thinkingLevel"] = raw
    budget = take(config, "thinkingBudget", words)
    if budget is not None:
        tokens = as_int(budget, "generationConfig.thinkingConfig.thinkingBudget")
        if tokens == _DYNAMIC:
            words.append("dynamic")
        else:
            reasoning.budget = tokens
            if tokens == 0 and level is None:
                reasoning.effort = "none"
    reasoning.wire = wired(fields, words)
    return reasoning


class OptionWriter:
    """Writes the options of one request into a `generationConfig`."""

    def __init__(self, request: Request, profile: Profile, loss: Loss, *, native: bool, words: list[str]) -> None:
        self.request = request
        self.profile = profile
        self.loss = loss
        self.native = native
        self.words = words

    def write(self, config: JSONObject) -> None:
        """Add the request's options to `config`, which holds what the hub does not model."""
        for name, option in (*_SCALARS.items(), *_COUNTS.items()):
            value = getattr(self.request, option)
            if value is not None and self._takes(option):
                put(config, name, self._limited(value) if option == "max_tokens" else value, self.words)
        stop = self.request.stop
        if stop is not None and self._takes("stop"):
            put(config, "stopSequences", [*stop], self.words)
        if self.request.logprobs is not None and self._takes("logprobs"):
            put(config, "responseLogprobs", value=True, words=self.words)
            if self.request.logprobs or "logprobs" in self.words:
                config["logprobs"] = self.request.logprobs
        if "text-only" in self.words:
            config["responseModalities"] = ["TEXT"]
        if self.request.output is not None:
            self._output(config, self.request.output)
        if self.request.reasoning is not None:
            self._thinking(config, self.request.reasoning)

    def _takes(self, option: str) -> bool:
        if self.native:
            return True
        profile, stop = self.profile, self.request.stop or []
        refused = option in profile.unsupported or (not profile.sampling and option in ("temperature", "top_p"))
        if refused or (option == "stop" and profile.stop is not None and len(stop) > profile.stop):
            self.loss.unsupported(option, "the target model does not take it")
            return False
        return True

    def _limited(self, tokens: JSON) -> JSON:
        limit = self.profile.max_output
        if self.native or limit is None or type(tokens) is not int or tokens <= limit:
            return tokens
        self.loss.emulate("max_tokens", f"lowered to {limit}, the most that the target gives")
        return limit

    def _output(self, config: JSONObject, output: OutputFormat) -> None:
        words, fields = words_of(output.wire), kept(output.wire, NAME)
        if output.kind == "text":
            if own(output.wire):
                put(config, "responseMimeType", "text/plain", words)
            return
        enforced = self.native or self.profile.structured in ("schema", "json")
        if not enforced:
            self.loss.unsupported("output", "the target model cannot be held to JSON")
            return
        if "mimeless" not in words or output.schema is None:
            put(config, "responseMimeType", "text/plain" if "plain" in words else _JSON_MIME, words)
        if output.kind != "json_schema" or output.schema is None:
            return
        if not self.native and self.profile.structured != "schema":
            self.loss.emulate("output.schema", "the target enforces JSON, but not the schema")
        elif "openapi" in words:
            back = back_to_gemini(output.schema, fields.get("responseSchema"), "output.schema")
            put(config, "responseSchema", back, words)
        else:
            put(config, "responseJsonSchema", output.schema, words)

    def _thinking(self, config: JSONObject, reasoning: Reasoning) -> None:
        words = words_of(reasoning.wire)
        thinking = kept(reasoning.wire, NAME)
        if reasoning.include is not None:
            put(thinking, "includeThoughts", reasoning.include, words)
        if own(reasoning.wire):
            self._same_thinking(thinking, reasoning, words)
        elif "reasoning" in self.profile.unsupported or self.profile.thinking == "none":
            if reasoning.effort != "none":
                self.loss.unsupported("reasoning", "the target model does not take it")
            return
        elif self.profile.thinking == "budget":
            self._budget(thinking, reasoning)
        elif self.profile.thinking == "level" or reasoning.effort is not None:
            self._level(thinking, reasoning)
        elif reasoning.budget is not None:
            thinking["thinkingBudget"] = reasoning.budget
        if thinking or own(reasoning.wire):
            put(config, "thinkingConfig", thinking, self.words)

    def _same_thinking(self, thinking: JSONObject, reasoning: Reasoning, words: list[str]) -> None:
        level = value_of(words, "level")
        implied = reasoning.effort == "none" and reasoning.budget == 0 and level is None
        if reasoning.effort is not None and not implied:
            same = level is not None and level.lower() == reasoning.effort
            put(thinking, "thinkingLevel", level if same else reasoning.effort.upper(), words)
        if reasoning.budget is not None:
            put(thinking, "thinkingBudget", reasoning.budget, words)
        elif "dynamic" in words:
            put(thinking, "thinkingBudget", _DYNAMIC, words)

    def _level(self, thinking: JSONObject, reasoning: Reasoning) -> None:
        effort = reasoning.effort
        if effort is None and reasoning.budget is not None:
            effort = _effort_of(reasoning.budget)
            self.loss.emulate("reasoning.budget", f"the target takes no token budget: thinking level {effort}")
        if effort is None:
            return
        level = self._nearest(effort, _LEVELS)
        thinking["thinkingLevel"] = level.upper()

    def _budget(self, thinking: JSONObject, reasoning: Reasoning) -> None:
        if reasoning.budget is not None:
            thinking["thinkingBudget"] = reasoning.budget
        elif reasoning.effort is not None:
            thinking["thinkingBudget"] = _BUDGETS[self._nearest(reasoning.effort, tuple(_BUDGETS))]

    def _nearest(self, effort: str, known: tuple[str, ...]) -> str:
        """The effort that the target takes and that is closest; the lower one of two."""
        if effort not in REASONING_EFFORTS:
            self.loss.refuse("reasoning.effort", f"unknown; one of {', '.join(REASONING_EFFORTS)}")
        offered = [word for word in known if not self.profile.efforts or word in self.profile.efforts] or [*known]
        place = REASONING_EFFORTS.index(effort)
        nearest = min(offered, key=lambda word: abs(REASONING_EFFORTS.index(word) - place))
        if nearest != effort:
            self.loss.emulate("reasoning.effort", f"the target has no {effort!r}: {nearest!r} was asked for")
        return nearest


def _effort_of(budget: int) -> str:
    """The effort whose documented budget is the smallest one that is not below `budget`."""
    if budget <= 0:
        return "minimal"
    return next((effort for effort, tokens in _BUDGETS.items() if effort != "minimal" and budget <= tokens), "high")
