"""Units that speak HTTP with any registered service, as a process model says."""
