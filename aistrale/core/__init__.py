"""The engine: calls, replies, the pipeline, the runtimes and the wire; knows no policy."""
