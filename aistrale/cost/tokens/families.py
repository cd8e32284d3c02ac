"""How the lines of models count: which tokenizer, what the format adds to the text, and how sure that is.

The frames are those that recorded exchanges of 2024 to 2026 show; `tools/token_report.py` prints how far off they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from aistrale.types import Request


class Guess(NamedTuple):
    """Tokens: the best guess, and the bounds within which it should be."""

    tokens: float
    low: float
    high: float


NOTHING: Final = Guess(0, 0, 0)
# Templates of open models bring up to 700 tokens of instructions with the first tool.
_ANY_TOOLS: Final = Guess(40, 0, 700)
_AS_WRITTEN: Final = Guess(1.0, 0.7, 1.3)
# Some models are shown the schema, others only held to it.
_SHOWN_OR_NOT: Final = Guess(1.0, 0.0, 2.0)
_AROUND: Final = Guess(40, 0, 400)
_ANY_TOOL: Final = Guess(8, 0, 50)


@dataclass(slots=True, frozen=True, kw_only=True)
class Family:
    """How one line of models counts.

    Args:
        method: Who counts text: an encoding of OpenAI's, or a vocabulary of `aistrale.cost.tokens.foreign`.
        exact: Whether that is the model's own tokenizer and the frame is known.
        frame: What every request has.
        message: What every message has; the system's too, unless `system_is_free`.
        system: What a request with system text has more.
        answered: What every earlier message of the assistant has more.
        name: What a name adds to its own tokens.
        part: What every part of a message has.
        prefilled: Whether a last message of the assistant, which the answer goes on with, has no frame.
        thinking: What asking for thinking adds.
        tool_share: What the text of tools is multiplied with.
        tools: What the first tool adds to the text of all.
        forced: What having to call a tool adds to that.
        more_tools: What every further tool adds to its text.
        tool_form: How tools are shown to the model: "typescript" or "json".
        schema_share: What the text of a schema for the answer is multiplied with.
        schema: What is said around it.
        images: The rule for images, see `media_tokens`.
        error: How far the count of text may be off, a share of it.
        slack: The same, tokens.
    """

    method: str
    exact: bool = False
    frame: int = 3
    message: int = 4
    system_is_free: bool = False
    system: int = 0
    answered: int = 0
    name: int = 1
    part: int = 0
    prefilled: bool = False
    thinking: Guess = NOTHING
    tool_share: Guess = _AS_WRITTEN
    tools: Guess = _ANY_TOOLS
    forced: Guess = NOTHING
    more_tools: Guess = _ANY_TOOL
    tool_form: str = "json"
    schema_share: Guess = _SHOWN_OR_NOT
    schema: Guess = _AROUND
    images: str = "any"
    error: float = 0.0
    slack: int = 0


# Fields of a request that bring input from elsewhere, or take some away: its tokens cannot be counted here.
_ELSEWHERE: Final = frozenset(
    {
        "previous_response_id", "conversation", "prompt", "cachedContent", "cached_content", "web_search_options",
        "search_settings", "context_management", "container", "mcp_servers", "tools", "plugins", "truncation",
        "generateContentRequest",
    }
)  # fmt: skip

_OLD_OPENAI: Final = re.compile(r"(?:ft:)?(?:gpt-4(?:$|-|:)|gpt-3\.?5|text-embedding|davinci-002|babbage-002)")
_REASONING: Final = re.compile(r"(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d))")
_CLAUDE: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2})(?!\d))?")
_GEMINI: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")

# OpenAI shows functions as a namespace of TypeScript; a system message, where there is one, bears a part of its frame.
_CHAT: Final = Family(
    method="o200k_base",
    exact=True,
    tool_share=Guess(1.0, 0.8, 1.2),
    tools=Guess(9, 0, 25),
    more_tools=Guess(0, -3, 20),
    tool_form="typescript",
    schema_share=Guess(0.93, 0.5, 1.2),
    schema=Guess(0, -15, 40),
    images="openai",
)
# The first message of Claude's has 7 tokens and each further one three (ctok's measurements); asking for thinking with
# a budget adds 28 or 29. Tools come with a text of their own, longer where one has to be called: Anthropic's page on
# tool use lists 313 and 346 tokens for Claude 4, the recordings since 4.5 show about 510 and 610.
_CLAUDE_3: Final = Family(
    method="claude-3",
    frame=4,
    message=3,
    system_is_free=True,
    prefilled=True,
    thinking=Guess(29, 15, 34),
    tools=Guess(330, 40, 560),
    forced=Guess(15, 0, 120),
    more_tools=Guess(15, 0, 60),
    schema_share=Guess(1.4, 1.0, 2.2),
    schema=Guess(120, 60, 220),
    images="anthropic",
    error=0.06,
    slack=4,
)
_CLAUDE_45: Final = replace(_CLAUDE_3, tools=Guess(508, 300, 540), forced=Guess(100, 0, 115))
_CLAUDE_48: Final = replace(
    _CLAUDE_3,
    method="claude-4.7",
    frame=3,
    thinking=Guess(0, 0, 45),
    tools=Guess(366, 300, 560),
    forced=Guess(142, 0, 160),
    images="anthropic_large",
)
_CLAUDE_47: Final = replace(_CLAUDE_48, frame=8, thinking=Guess(36, 0, 45))
_GOOGLE: Final = Family(
    method="gemini",
    frame=0,
    message=0,
    name=0,
    tool_share=Guess(1.2, 0.2, 2.0),
    tools=Guess(6, 0, 60),
    more_tools=Guess(6, 0, 40),
    schema_share=Guess(0.0, 0.0, 1.5),
    schema=Guess(0, 0, 60),
    images="gemini",
    error=0.06,
    slack=3,
)
# Llama 3: three signs and the role before a message, one behind it; since 3.1 system text with two dates before all.
_LLAMA: Final = Family(
    method="cl100k_base",
    frame=35,
    message=5,
    system_is_free=True,
    tools=Guess(600, 0, 760),
    error=0.06,
    slack=14,
)
_OPEN: Final = Family(method="o200k_base", error=0.15, slack=15)
_BY_NAME: Final = (
    # Harmony's system text, with the day and the effort, stands before everything.
    ("gpt-oss", Family(method="o200k_base", frame=67, system=4, error=0.02, slack=8)),
    ("llama-3.", _LLAMA),
    ("llama-4", _LLAMA),
    ("llama-3-", Family(method="cl100k_base", frame=5, message=5, error=0.06, slack=4)),
    ("llama3-", Family(method="cl100k_base", frame=5, message=5, error=0.06, slack=4)),
    ("qwen", Family(method="cl100k_base", message=5, error=0.06, slack=6)),
    ("deepseek", Family(method="o200k_base", frame=2, message=1, error=0.06, slack=6)),
)


def family_of(provider: str, model: str) -> Family:
    """How a model counts; one that nobody has measured counts like OpenAI's, give or take 15 percent.

    Args:
        provider: The provider's name.
        model: The model, in the provider's words.
    """
    name = model.lower().rpartition("/")[2]
    if name.startswith("claude"):
        return _claude(name)
    if name.startswith(("gemini", "gemma")) or provider in {"gemini", "google"}:
        return _gemini(provider, name)
    for start, family in _BY_NAME:
        if start in name:
            return family
    if provider not in {"groq", "huggingface", "hf"}:
        return _openai(name)
    return _OPEN


def from_elsewhere(request: Request) -> bool:
    """Whether a request refers to input that is not part of it: earlier turns, cached contents, stored prompts."""
    return any(
        name in _ELSEWHERE and value
        for fields in (request.extra, request.wire.fields if request.wire is not None else {})
        for name, value in fields.items()
    )


def _openai(name: str) -> Family:
    if _OLD_OPENAI.match(name):
        return replace(_CHAT, method="cl100k_base")
    if _REASONING.match(name):
        # An earlier answer of GPT-5 names its channel; those of the o models do not.
        return replace(_CHAT, frame=2, answered=0 if name.removeprefix("ft:").startswith("o") else 2)
    if name.startswith(("gpt-4", "ft:gpt-4", "chatgpt-4")):
        return _CHAT
    return replace(_OPEN, images="openai")


def _claude(name: str) -> Family:
    generation = _generation(_CLAUDE.match(name))
    if generation == (4, 7):
        return _CLAUDE_47
    if generation > (4, 7):
        return _CLAUDE_48
    return _CLAUDE_45 if generation >= (4, 5) else _CLAUDE_3


def _gemini(provider: str, name: str) -> Family:
    generation = _generation(_GEMINI.match(name))
    # One for each part since 2.5, at the Gemini API; Vertex has none.
    part = 1 if generation >= (2, 5) and "vertex" not in provider else 0
    share = _GOOGLE.tool_share if generation >= (2, 5) else Guess(0.7, 0.15, 1.4)
    images = "gemini_3" if generation >= (3, 0) else "gemini_2.5" if generation >= (2, 5) else "gemini"
    return replace(_GOOGLE, part=part, tool_share=share, images=images)


def _generation(found: re.Match[str] | None) -> tuple[int, int]:
    """The version that a name states; a model without one is taken for newer than this list."""
    return (int(found[1]), int(found[2] or 0)) if found is not None else (99, 0)
