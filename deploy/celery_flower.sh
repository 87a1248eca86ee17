#!/bin/sh
# Flower: monitoring of the queues, for operators only, on FLOWER_PORT (5555). Arguments go to `bptl flower`.
set -eu
# By itself it listens on 127.0.0.1, which nobody outside of a container reaches.
FLOWER_ADDRESS="${FLOWER_ADDRESS:-0.0.0.0}"
export FLOWER_ADDRESS
exec bptl flower "$@"
