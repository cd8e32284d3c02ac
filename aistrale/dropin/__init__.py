"""One line under the official SDKs: their HTTP requests run through the pipeline, and come back in their own words."""
