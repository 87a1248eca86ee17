"""First station of the walk: a fetch is announced, sent by the poller, and its answer recorded as tasks with leases."""
