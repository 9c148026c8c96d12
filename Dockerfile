# Two stages: the first builds, the second only runs.
# Both use the Python version of the lock file, pinned by digest. Dependabot proposes newer ones.

FROM python:3.11-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The environment comes first, so that Docker rebuilds it only if the lock file changes.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv install --require-hashes -r requirements.lock \
 && python -m pip install --require-hashes -r requirements-build.lock

COPY pyproject.toml README.md LICENSE config.example.toml ./
COPY queries queries
COPY bridge bridge
RUN python -m hatchling build -t wheel -d dist \
 && python -m pip --python /opt/venv install --no-index --no-deps dist/*.whl

FROM python:3.11-slim-trixie@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51
RUN groupadd --gid 10001 bridge \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin bridge \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
# All files are written to /data, including temporary ones, so the rest can be read-only.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/data

# /data holds everything that must outlive the container: config.toml, secrets, queries, the ledger, its key.
VOLUME /data
WORKDIR /data
USER 10001:10001

# The webhook port. The admin port, 9090, listens on the container's loopback unless [admin] changes that.
EXPOSE 8080

# The container is healthy while it can accept and store events.
# To change the admin port, set TRAKOR_BRIDGE_ADMIN__PORT: the daemon and this check both read it.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client, os; health = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('TRAKOR_BRIDGE_ADMIN__PORT', '9090')), timeout=5); health.request('GET', '/readyz'); raise SystemExit(health.getresponse().status != 200)"]

# SIGTERM shuts the daemon down within ten seconds; SIGHUP reloads configuration and secrets.
STOPSIGNAL SIGTERM
ENTRYPOINT ["trakor-bridge"]
CMD ["run"]
