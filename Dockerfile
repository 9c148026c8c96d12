# syntax=docker/dockerfile:1
# Two stages: the first has what building needs, the second only what running needs.
# Both start from the Python that the lock is resolved for.

FROM python:3.11-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The environment first: it is built anew only when the lock changes.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv install --require-hashes -r requirements.lock \
 && python -m pip install --require-hashes -r requirements-build.lock

COPY pyproject.toml README.md LICENSE config.example.toml ./
COPY queries queries
COPY bridge bridge
RUN python -m hatchling build -t wheel -d dist \
 && python -m pip --python /opt/venv install --no-index --no-deps dist/*.whl

FROM python:3.11-slim-trixie
RUN groupadd --gid 10001 bridge \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin bridge \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

# Everything that must outlive the container: config.toml, connections.d, the ledger and its key.
VOLUME /data
WORKDIR /data
USER 10001:10001

# Healthy is what can read its configuration and its ledger.
HEALTHCHECK --interval=1m --timeout=20s --start-period=20s --retries=3 \
  CMD ["trakor-bridge", "status", "--json"]
ENTRYPOINT ["trakor-bridge"]
CMD ["backfill"]
