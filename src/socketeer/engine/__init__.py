"""Floor 2: one Engine.IO session over whatever transport carries it."""
