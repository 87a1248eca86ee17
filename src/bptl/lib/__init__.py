"""Ground: http, json, log and clock; knows nothing of BPTL."""
