"""What keeps the walk going: heartbeats, locks kept alive, and the sweep after whatever died."""
