"""Tokens: counted offline, estimated, calibrated."""
