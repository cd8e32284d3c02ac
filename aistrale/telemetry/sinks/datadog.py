"""The sink "datadog": spans to Datadog's LLM Observability, over OTLP and without an agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Self

from aistrale.errors import ConfigurationError
from aistrale.telemetry.otel.settings import OTelSettings, read_url
from aistrale.telemetry.sinks.otlp import OTLPSink, endpoint_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class DatadogSink(OTLPSink):
    """Sends spans to the OTLP intake of a Datadog site, marked for LLM Observability.

    Args:
        key: The API key; None for DD_API_KEY.
        site: The site; None for DD_SITE, else datadoghq.com.
        endpoint: Where the intake begins, in place of `https://otlp.SITE`: a collector in between, for example.
        settings: How calls are told.

    Raises:
        ImportError: The SDK or its exporter is missing.
        ConfigurationError: There is no key, or the address is none.
    """

    name: ClassVar[str] = "datadog"

    def __init__(
        self,
        key: str | None = None,
        *,
        site: str | None = None,
        endpoint: str | None = None,
        settings: OTelSettings | None = None,
    ) -> None:
        key = key or os.environ.get("DD_API_KEY", "").strip()
        if not key:
            raise ConfigurationError("the sink datadog needs an API key", field="sinks", hint="Set DD_API_KEY.")
        site = site or os.environ.get("DD_SITE", "").strip() or "datadoghq.com"
        found = endpoint_of(
            endpoint or f"https://otlp.{site}",
            {"dd-api-key": key, "dd-otlp-source": "llmobs"},
            ("traces",),
            own=True,
        )
        self._open(found, settings or OTelSettings(), resource=_resource(), shared=lambda: False)

    @classmethod
    def from_url(cls, url: str, /) -> Self:
        """The sink of "datadog", "datadog:datadoghq.eu" or "datadog:http://collector:4318"; options are OTelSettings'.

        Raises:
            ConfigurationError: There is no key, or the address or an option is wrong.
            ImportError: The SDK or its exporter is missing.
        """
        address, settings, _ = read_url(url)
        if "://" in address:
            return cls(endpoint=address, settings=settings)
        return cls(site=address.strip("/") or None, settings=settings)


def _resource() -> Mapping[str, str]:
    """What Datadog's own variables say of the service; the name is the application in LLM Observability."""
    found: dict[str, str] = {}
    for attribute, names in (
        ("service.name", ("DD_LLMOBS_ML_APP", "DD_SERVICE")),
        ("deployment.environment.name", ("DD_ENV",)),
        ("service.version", ("DD_VERSION",)),
    ):
        said = next((value for name in names if (value := os.environ.get(name, "").strip())), None)
        if said is not None:
            found[attribute] = said
    return found
