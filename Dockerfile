# One image for every role (docs/image.md): commands, services, AWS Lambda (docs/lambda.md).
#
#     docker build -t driftfleet .
#     docker build -t driftfleet --target with-terraform --build-arg TERRAFORM_VERSIONS="1.11.4 1.5.7" .
#
# tfenv, and what the second target bakes in, come from vendor/ (vendor/README.md); without tfenv:
# --build-arg TFENV_VERSION=none
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/driftfleet && python -m venv /opt/wheel
# What changes seldom comes first: the dependencies stay in the build's cache.
COPY constraints.txt pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"]["lambda"], sep="\n")' > requirements.txt \
 && /opt/driftfleet/bin/pip install --quiet --only-binary :all: -c constraints.txt -r requirements.txt \
 && /opt/wheel/bin/pip install --quiet --only-binary :all: -c constraints.txt hatchling
COPY README.md ./
COPY driftfleet driftfleet
COPY producer producer
COPY worker worker
# With the hatchling of constraints.txt: by itself pip would fetch the newest for a build.
RUN /opt/wheel/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/driftfleet/bin/pip install --quiet --no-deps /wheel/driftfleet-*.whl \
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
    chmod -R a+rX,go-w /out; \
    # Not its folder of programs: a shim called terraform is in there, too.
    ln -s /opt/tfenv/bin/tfenv /out/usr/local/bin/tfenv

FROM ${PYTHON_IMAGE} AS vendored
ARG TERRAFORM_VERSIONS=""
ARG PROVIDERS=none
COPY vendor /vendor
RUN set -eu; umask 022; mkdir -p /out/srv/terraform/terraform /out/srv/mirror/providers /out/usr/local/bin; \
    for version in $TERRAFORM_VERSIONS; do \
      if [ ! -f "/vendor/terraform/$version/terraform" ]; then \
        echo "vendor/terraform/$version/terraform is not there: put it there (vendor/README.md), or name the" \
             "versions that are in TERRAFORM_VERSIONS" >&2; \
        exit 1; \
      fi; \
      place="/out/srv/terraform/terraform/$version"; \
      install -D "/vendor/terraform/$version/terraform" "$place/terraform"; \
      # As driftfleet/installs/shelf.py wants it: what has no record passes for half an installation.
      printf '{"program": "terraform", "version": "%s", "bytes": %s}' \
        "$version" "$(stat -c %s "$place/terraform")" > "$place/installed.json"; \
      [ -e /out/usr/local/bin/terraform ] || \
        ln -s "/srv/terraform/terraform/$version/terraform" /out/usr/local/bin/terraform; \
    done; \
    case "$PROVIDERS" in \
      none) ;; \
      vendor) \
        if [ ! -d /vendor/providers ]; then \
          echo "vendor/providers is not there: put an unpacked mirror there (vendor/README.md), or build with" \
               "--build-arg PROVIDERS=none" >&2; \
          exit 1; \
        fi; \
        cp -R /vendor/providers/. /out/srv/mirror/providers ;; \
      *) echo "PROVIDERS is '$PROVIDERS': it can be none, or vendor" >&2; exit 1 ;; \
    esac; \
    chmod -R a+rX,go-w /out; \
    echo "the target with-terraform has: versions of Terraform: ${TERRAFORM_VERSIONS:-none}; providers: $PROVIDERS"

FROM ${PYTHON_IMAGE} AS fleet
ARG PYTHON_IMAGE
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftfleet" \
      org.opencontainers.image.description="Tells, for every Terraform root module, whether the real world still matches the code" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      bash bubblewrap ca-certificates curl git gpgv tini unzip \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
      /usr/share/locale/* /usr/share/man/* /usr/share/info/* \
 && groupadd --gid 10001 driftfleet \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin driftfleet \
 # A fleet.yaml that is mounted or copied to the first is found. The second is a service's one writable
 # place; a volume that is mounted there is its user's.
 && mkdir /etc/driftfleet \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/driftfleet
COPY --from=tfenv /out/ /
COPY --from=build /opt/driftfleet /opt/driftfleet
ENV PATH=/opt/driftfleet/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /etc/driftfleet
USER 10001:10001
# Of the service that the container runs (docs/health.md); any other command is healthy while it runs.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 CMD ["driftfleet-health"]
# tini reaps what ends below it, and hands signals on.
ENTRYPOINT ["/usr/bin/tini", "--", "driftfleet"]
CMD ["--help"]
# On AWS Lambda: ENTRYPOINT ["/opt/driftfleet/bin/python", "-m", "awslambdaric"], CMD ["worker.aws_lambda.handler"]

# The same with versions of Terraform and a provider mirror in it: nothing is installed at run time.
FROM fleet AS with-terraform
COPY --from=vendored /out/ /
ENV DRIFTFLEET_INSTALLS__FOLDER=/srv/terraform \
    DRIFTFLEET_INSTALLS__INSTALLER=none \
    DRIFTFLEET_WORKER__MIRROR=/srv/mirror/providers

# What `docker build` makes where no target is named.
FROM fleet
