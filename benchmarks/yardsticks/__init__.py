"""Other workers for the same engine: what a machine can do at best, and what the usual client does."""
