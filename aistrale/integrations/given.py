"""What is given to a framework's class that is none of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aistrale.client import AsyncClient, Client
from aistrale.errors import ConfigurationError
from aistrale.options import unknown_option

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import BaseModel


def where_keys_go(given: Collection[str]) -> str | None:
    """What to say to somebody who gives a key or an address, as the classes of providers take them; else None."""
    for name in ("api_key", "base_url", "api_base"):
        if name in given:
            setting = "base_url" if name == "api_base" else name
            return (
                f"{name} is a setting of the client: aistrale.init(providers={{'openai': {{'{setting}': ...}}}}), "
                "or client=aistrale.Client(providers=...)"
            )
    return None


def check_fields(kind: type[BaseModel], given: Collection[str]) -> None:
    """Refuse what a class would pass over in silence.

    Raises:
        ConfigurationError: It has no such field; says which comes close, and where keys go.
    """
    fields = kind.model_fields
    for name in given:
        if name not in fields:
            said = where_keys_go((name,))
            raise unknown_option(name, list(fields)) if said is None else ConfigurationError(said, field=name)


def check_client(client: object) -> None:
    """Refuse what is no client.

    Raises:
        ConfigurationError: It is neither None, for the process-wide one, nor a client of ours.
    """
    if client is not None and not isinstance(client, (Client, AsyncClient)):
        raise ConfigurationError("client must be an aistrale.Client or an aistrale.AsyncClient", field="client")
