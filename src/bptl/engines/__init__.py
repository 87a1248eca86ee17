"""Left bank: the engines, each in its own words, behind one protocol."""
