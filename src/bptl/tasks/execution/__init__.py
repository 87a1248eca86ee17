"""Second station of the walk: a worker claims queued tasks, runs their units and stores the outcomes."""
