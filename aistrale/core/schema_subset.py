"""Which part of JSON Schema each provider enforces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


@dataclass(slots=True, frozen=True, kw_only=True)
class Subset:
    """What one provider enforces.

    Args:
        keywords: Keywords it takes, beside those that all take.
        formats: String formats it takes; None takes all.
        closed: Objects must forbid further properties, so free-form objects and values cannot be said.
        all_required: Every property must be required; optional ones become nullable.
        object_root: The root must be an object.
        recursive: Schemas may refer to themselves.
        type_lists: `type` may be a list.
        typed_enums: An `enum` must come with a `type`.
        plain_enums: An `enum` holds texts and numbers only.
        min_items: Highest `minItems` it takes; None takes all.
    """

    keywords: frozenset[str] = frozenset()
    formats: frozenset[str] | None = None
    closed: bool = False
    all_required: bool = False
    object_root: bool = False
    recursive: bool = True
    type_lists: bool = True
    typed_enums: bool = False
    plain_enums: bool = False
    min_items: int | None = None


# OpenAI, "Structured Outputs", supported schemas; Groq documents the same rules for its strict mode.
_STRICT: Final = Subset(
    keywords=frozenset(
        {"const", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
         "minItems", "maxItems"}
    ),
    formats=_FORMATS,
    closed=True,
    all_required=True,
    object_root=True,
    typed_enums=True,
)  # fmt: skip
SUBSETS: Final[Mapping[str, Subset]] = {
    "strict": _STRICT,
    # Anthropic, "Structured outputs", JSON Schema limitations.
    "anthropic": Subset(
        keywords=frozenset({"const", "format", "minItems"}),
        formats=_FORMATS | {"uri"},
        closed=True,
        recursive=False,
        type_lists=False,
        min_items=1,
    ),
    # Google, Gemini API reference, GenerationConfig.responseJsonSchema.
    "gemini": Subset(
        keywords=frozenset(
            {"format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf", "propertyOrdering"}
        ),
        plain_enums=True,
    ),
}


class Inexpressible(ValueError):
    """The schema cannot be said in the subset; `path` is where, `detail` why."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path
        self.detail = detail
