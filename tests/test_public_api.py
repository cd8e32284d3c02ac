from __future__ import annotations

import aistrale

PUBLIC = [
    "AistraleError", "AsyncClient", "AsyncStream", "Backoff", "Call", "Client", "Clocks", "Completion", "Context",
    "EmbedOptions", "Embeddings", "Event", "LastCall", "Message", "Options", "Pipeline", "Policy", "Reply", "Session",
    "Settings", "Stream", "Tap", "Tool", "Usage",
    "__version__", "async_transport", "audio", "context", "cost", "document", "embed", "embed_async", "errors", "flush",
    "get_client", "http_client", "image", "init", "last_call", "llm", "openai_compatible", "policies", "run", "run_async", "session",
    "shutdown", "sinks", "stream", "stream_async", "testing", "transport", "wrap",
]  # fmt: skip


def test_the_public_names_are_these_and_all_load():
    assert sorted(aistrale.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(aistrale, name) is not None
    assert set(PUBLIC) <= set(dir(aistrale))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(aistrale, "runn")


def test_names_of_functions_are_not_hidden_by_modules():
    import aistrale.client
    import aistrale.conversation
    import aistrale.scope

    assert callable(aistrale.context)
    assert callable(aistrale.session)
    assert callable(aistrale.stream)
