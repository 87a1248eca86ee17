#!/bin/sh
# Beat: starts and restarts the long poll and the sweep.
set -eu
exec bptl wait --broker bptl beat
