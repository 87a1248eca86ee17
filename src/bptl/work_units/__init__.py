"""The work itself: one declared, typed function per business step."""
