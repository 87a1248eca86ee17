"""Third station of the walk: a stored outcome is reported until the engine has taken it."""
