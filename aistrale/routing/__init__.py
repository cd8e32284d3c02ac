"""Where a call goes: strategies that order the targets of a route, and the health that they are judged by."""
