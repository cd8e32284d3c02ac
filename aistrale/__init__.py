"""The LLM gateway without the gateway."""
