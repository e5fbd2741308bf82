# One image for every role (docs/image.md): commands, workers, AWS Lambda (docs/lambda.md).
#
#     docker build -t driftfleet .
#
# tfenv comes from vendor/ (vendor/README.md); without it:  --build-arg TFENV_VERSION=none
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/driftfleet
# What changes seldom comes first: the dependencies stay in the build's cache.
COPY constraints.txt pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"]["lambda"], sep="\n")' > requirements.txt \
 && /opt/driftfleet/bin/pip install --quiet --only-binary :all: -c constraints.txt -r requirements.txt
COPY README.md ./
COPY driftfleet driftfleet
COPY producer producer
COPY worker worker
RUN /opt/driftfleet/bin/pip install --quiet --no-deps . \
 && /opt/driftfleet/bin/pip check \
 && /opt/driftfleet/bin/pip uninstall --quiet --yes pip

FROM ${PYTHON_IMAGE} AS tfenv
ARG TFENV_VERSION=3.2.0
ARG TFENV_SHA256=19c1c2d9d86338ca8db3740d94e1a559d26103035fb7dd29ef667cf6d543e436
COPY vendor /vendor
RUN set -eu; mkdir -p /out/opt /out/usr/local/bin; \
    if [ "$TFENV_VERSION" = none ]; then \
      echo "tfenv is left out of this image: only versions of Terraform that you put on its PATH, or into" \
           "installs.folder, can plan"; \
      exit 0; \
    fi; \
    archive="/vendor/tfenv-$TFENV_VERSION.tar.gz"; \
    if [ ! -f "$archive" ]; then \
      echo "vendor/tfenv-$TFENV_VERSION.tar.gz is not there: vendor/README.md says where it is from;" \
           "or build with --build-arg TFENV_VERSION=none" >&2; \
      exit 1; \
    fi; \
    echo "$TFENV_SHA256  $archive" | sha256sum --check --quiet - \
      || { echo "$archive is not the archive of TFENV_SHA256 ($TFENV_SHA256)" >&2; exit 1; }; \
    tar -xzf "$archive" -C /out/opt; \
    mv "/out/opt/tfenv-$TFENV_VERSION" /out/opt/tfenv; \
    rm -rf /out/opt/tfenv/.[a-z]* /out/opt/tfenv/test /out/opt/tfenv/docs; \
    chmod -R go-w /out; \
    # Not its folder of programs: a shim called terraform is in there, too.
    ln -s /opt/tfenv/bin/tfenv /out/usr/local/bin/tfenv

FROM ${PYTHON_IMAGE}
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftfleet" \
      org.opencontainers.image.description="Tells, for every Terraform root module, whether the real world still matches the code" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash bubblewrap ca-certificates curl git gpgv tini unzip \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10001 driftfleet \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin driftfleet \
 # A fleet.yaml that is mounted or copied here is found.
 && mkdir /etc/driftfleet
COPY --from=tfenv /out/ /
COPY --from=build /opt/driftfleet /opt/driftfleet
ENV PATH=/opt/driftfleet/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /etc/driftfleet
USER 10001:10001
# tini reaps what ends below it, and hands signals on.
ENTRYPOINT ["/usr/bin/tini", "--", "driftfleet"]
CMD ["--help"]
# On AWS Lambda: ENTRYPOINT ["/opt/driftfleet/bin/python", "-m", "awslambdaric"], CMD ["worker.aws_lambda.handler"]
