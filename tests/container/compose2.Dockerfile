# Compose v2 beside an engine whose machine has docker-compose 1.29.
FROM python:3.13-slim-trixie
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends docker-compose >/dev/null \
 && rm -rf /var/lib/apt/lists/*
