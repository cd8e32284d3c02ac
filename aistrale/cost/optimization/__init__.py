"""Prompts that lose what means nothing, and changes that are tried on a share of the calls."""
