"""The heart: what must happen to each external task, as rows of PostgreSQL and guarded moves between them."""
