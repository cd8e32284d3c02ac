"""Spending as charts, and as one HTML page of them."""
