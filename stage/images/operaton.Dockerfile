# The engine of the tests (tests/engines/maven) in a container; ENGINE_AUTH=true asks for logins (demo, demo).
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -q -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY tests/engines/maven/target/engine-operaton.jar /engine.jar
ENV ENGINE_AUTH=false
USER 1000:1000
WORKDIR /tmp
EXPOSE 8080
CMD ["sh", "-c", "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx768m -jar /engine.jar --server.address=0.0.0.0 --server.port=8080 --test.auth=$ENGINE_AUTH"]
