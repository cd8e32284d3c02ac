"""What the catalog knows of a model, in the words of LangChain's model profiles."""

from __future__ import annotations

from aistrale.errors import ConfigurationError
from aistrale.providers.catalog import resolve


def profile_of(name: str) -> dict[str, object] | None:
    """The profile of a model; None for one that the catalog does not know, and for routes.

    Args:
        name: As calls name it.
    """
    try:
        facts = resolve(name)[2]
    except ConfigurationError:
        return None
    if facts is None:
        return None
    takes, gives = facts.input, facts.output
    profile: dict[str, object | None] = {
        "name": facts.id,
        "max_input_tokens": facts.max_input or facts.context,
        "max_output_tokens": facts.max_output,
        "tool_calling": facts.tools,
        # Where a provider enforces no schema, one is asked for in words and the answer is checked.
        "structured_output": None if facts.structured is None else facts.structured in {"schema", "tool"},
        "reasoning_output": None if facts.reasoning is None else facts.reasoning != "none",
        "temperature": facts.sampling,
    }
    for kind, word in (("text", "text"), ("image", "image"), ("audio", "audio"), ("video", "video")):
        profile[f"{word}_inputs"] = None if takes is None else kind in takes
        profile[f"{word}_outputs"] = None if gives is None else kind in gives
    profile["pdf_inputs"] = None if takes is None else "document" in takes
    return {key: value for key, value in profile.items() if value is not None}
