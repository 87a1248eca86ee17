"""REST for machines: one call, a work unit; its description and the pages that show it."""
