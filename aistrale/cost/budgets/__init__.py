"""Budgets: money that is set aside before an attempt and settled after it."""
