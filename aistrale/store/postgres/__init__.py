"""The ledger in PostgreSQL: `ledger="postgresql://user@host/database"`, one for any number of machines.

Nothing here loads the driver before the first shipping or question.
"""

from __future__ import annotations
