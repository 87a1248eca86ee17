# Stands in for the official nginx image.
ARG BASE
FROM ${BASE}
RUN apt-get update -q && apt-get install -q -y --no-install-recommends nginx-light curl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
