"""Prompts with fields: `{name}`, `{doc.title}`, `{scores[0]}`; what is filled in is never read as a template itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard

from aistrale.errors import ConfigurationError
from aistrale.prompts import invalid
from aistrale.types import MediaPart, Message, ProviderPart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aistrale.prompts import Prompt

_FIELD: Final = re.compile(r"(?P<name>[^\W\d]\w*)(?P<path>(?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)")
_STEP: Final = re.compile(r"\.(?P<attribute>\w+)|\[(?P<key>[^\[\]]+)\]")
_PIECE: Final = re.compile(r"\{\{|\}\}|\{(?P<field>[^{}]*)\}|[{}]")
# Parameters that hold turns or media: an empty one of these says nothing.
_CARRIER: Final = re.compile(r"\b(?:Message|Prompt|\w*Part)\b")
_OWNERS: Final = frozenset({"self", "cls"})
_PARTS: Final = (MediaPart, TextPart, ProviderPart)
_LONGEST: Final = 40

Piece: TypeAlias = "str | Field"


@dataclass(slots=True, frozen=True)
class Field:
    """A place of a template.

    Args:
        source: As it is written.
        name: The argument.
        path: How to get from it to what is meant: attributes, and keys in brackets.
    """

    source: str
    name: str
    path: tuple[tuple[str, str | int], ...] = ()

    def of(self, arguments: Mapping[str, object]) -> object:
        """What it stands for. Raises InvalidRequestError where an argument has no such part."""
        value = arguments[self.name]
        for kind, step in self.path:
            try:
                value = getattr(value, str(step)) if kind == "attribute" else value[step]  # type: ignore[index]  # it is tried
            except (AttributeError, LookupError, TypeError) as error:
                raise invalid(self.source, f"is not there: a {type(value).__name__} has no {step!r}") from error
        return value


class Template:
    """A prompt to be filled in.

    Args:
        text: `{name}` is a parameter, with attributes and keys behind it if need be; `{{` and `}}` are braces.
        parameters: What may stand in it.

    Raises:
        ConfigurationError: There is no such parameter, or a brace that belongs to none.
    """

    def __init__(self, text: str, parameters: Mapping[str, Parameter]) -> None:
        self.pieces = tuple(_pieces(text, parameters))
        named = {piece.name for piece in self.pieces if isinstance(piece, Field)}
        self._others = [
            parameter
            for position, parameter in enumerate(parameters.values())
            if parameter.name not in named and not (position == 0 and parameter.name in _OWNERS)
        ]
        self._carriers = frozenset(name for name, parameter in parameters.items() if _carries(parameter))

    def fill(self, arguments: Mapping[str, object]) -> Prompt:
        """The prompt of these arguments, all of them given.

        Texts, and what `str` makes of anything else, stand where they are named. Media stand there as media; messages
        as messages, so that what comes after them is a turn of its own. What is not named comes at the end with its
        name; media without it; messages before everything else. None is left out there.

        Raises:
            InvalidRequestError: An argument has no such attribute or key.
        """
        written = _Writer()
        others = [
            (parameter.name, label, value)
            for parameter in self._others
            for label, value in _labelled(parameter, arguments[parameter.name])
        ]
        for _, _, value in others:
            if _is_turns(value):
                written.add(value)
        for piece in self.pieces:
            if isinstance(piece, str):
                written.text(piece)
            elif not self._says_nothing(piece.name, value := piece.of(arguments)):
                written.add(value)
        for name, label, value in others:
            if not (value is None or self._says_nothing(name, value) or _is_turns(value)):
                written.labelled(label, value)
        return written.prompt()

    def _says_nothing(self, name: str, value: object) -> bool:
        return name in self._carriers and (value is None or (isinstance(value, (list, tuple)) and not value))


def _pieces(text: str, parameters: Mapping[str, Parameter]) -> Iterable[Piece]:
    position = 0
    for match in _PIECE.finditer(text):
        if match.start() > position:
            yield text[position : match.start()]
        position = match.end()
        source = match["field"]
        if source is not None:
            yield _field(source, parameters)
        elif len(match[0]) == 1:
            raise ConfigurationError(
                f"the prompt has a lone {match[0]} in line {text.count(chr(10), 0, match.start()) + 1}",
                hint="Write {{ and }} for braces.",
            )
        else:
            yield match[0][0]
    if position < len(text):
        yield text[position:]


def _field(source: str, parameters: Mapping[str, Parameter]) -> Field:
    shown = source if len(source) <= _LONGEST else f"{source[:_LONGEST]}..."
    match = _FIELD.fullmatch(source.strip().removesuffix("!s"))
    if match is None:
        raise ConfigurationError(
            f"the prompt has {{{shown}}}, which names no parameter",
            hint="A field is a parameter, as {name}, {name.attribute} or {name[key]}; {{ and }} are braces.",
        )
    if match["name"] not in parameters:
        known = ", ".join(parameters) or "there are none"
        raise ConfigurationError(
            f"the prompt has {{{shown}}}, but there is no parameter {match['name']}",
            hint=f"Parameters: {known}. Write {{{{ and }}}} for braces.",
        )
    steps: list[tuple[str, str | int]] = []
    for step in _STEP.finditer(match["path"]):
        if step["attribute"] is None:
            key = step["key"]
            steps.append(("key", int(key) if re.fullmatch(r"-?\d{1,9}", key, re.ASCII) else key.strip("\"'")))
        elif step["attribute"].startswith("_"):
            raise ConfigurationError(f"the prompt has {{{shown}}}: attributes that begin with _ are not filled in")
        else:
            steps.append(("attribute", step["attribute"]))
    return Field(match[0], match["name"], tuple(steps))


def _carries(parameter: Parameter) -> bool:
    hint = parameter.annotation
    return hint is not Parameter.empty and _CARRIER.search(hint if isinstance(hint, str) else repr(hint)) is not None


def _labelled(parameter: Parameter, value: object) -> Iterable[tuple[str, object]]:
    """What an argument is called at the end of the prompt; `*args` and `**kwargs` are several."""
    if parameter.kind is Parameter.VAR_POSITIONAL and isinstance(value, tuple):
        return [(f"{parameter.name}[{index}]", item) for index, item in enumerate(value)]
    if parameter.kind is Parameter.VAR_KEYWORD and isinstance(value, Mapping):
        return [(str(name), item) for name, item in value.items()]
    return [(parameter.name, value)]


def _is_turns(value: object) -> TypeGuard[Message | Sequence[Message]]:
    return isinstance(value, Message) or _all_of(value, (Message,))


def _all_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, kinds) for item in value)


class _Writer:
    """A prompt as it grows: turns, and the one of the user that is being written."""

    def __init__(self) -> None:
        self._turns: list[Message] = []
        self._parts: list[str | MediaPart | TextPart | ProviderPart] = []

    def text(self, text: str) -> None:
        if self._parts and isinstance(self._parts[-1], str):
            self._parts[-1] += text
        else:
            self._parts.append(text)

    def add(self, value: object) -> None:
        if isinstance(value, Message):
            self._close()
            self._turns.append(value)
        elif isinstance(value, _PARTS):
            self._parts.append(value)
        elif isinstance(value, (list, tuple)) and (_all_of(value, (Message,)) or _all_of(value, _PARTS)):
            for item in value:
                self.add(item)
        else:
            self.text(value if type(value) is str else str(value))

    def labelled(self, label: str, value: object) -> None:
        if isinstance(value, _PARTS) or _all_of(value, _PARTS):
            self.add(value)
            return
        text = str(value)
        last = self._parts[-1] if self._parts else None
        before = "\n\n" if isinstance(last, str) and last.strip() else ""
        self.text(f"{before}{label}:{chr(10) if chr(10) in text else ' '}{text}")

    def prompt(self) -> Prompt:
        if not self._turns and all(isinstance(part, str) for part in self._parts):
            return "".join(str(part) for part in self._parts)
        self._close()
        return self._turns

    def _close(self) -> None:
        """The user's turn ends here, if anything was said in it."""
        said = [part for part in self._parts if not isinstance(part, str) or part.strip()]
        self._parts = []
        if said:
            self._turns.append(Message.user(*said))
