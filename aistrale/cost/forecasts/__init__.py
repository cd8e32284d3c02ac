"""Forecasts of daily spend."""
