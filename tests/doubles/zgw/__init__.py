"""A double of the ZGW APIs, the Objects API and the Objecttypes API: in memory, with state, rules and faults."""
