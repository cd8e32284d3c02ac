"""The price book: what every model costs, when, and under which conditions."""
