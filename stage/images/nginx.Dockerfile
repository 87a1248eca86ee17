# Stands in for the official nginx image.
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -q -y --no-install-recommends nginx-light curl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
