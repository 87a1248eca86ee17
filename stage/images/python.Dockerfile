# Stands in for the official Python image where no registry can be reached: Debian's own Python.
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -q -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
