"""What could be changed to pay less, read from the ledger."""
