#!/bin/sh
# Flower: monitoring of the queues, for operators only. Arguments go to `bptl flower`.
set -eu
exec bptl flower "$@"
