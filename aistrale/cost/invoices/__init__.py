"""Providers' invoices and usage exports, read and compared with the ledger."""
