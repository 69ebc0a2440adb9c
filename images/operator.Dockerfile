# The operator. Any Debian-based image with Python 3.11 or newer and ca-certificates can be the base.
ARG BASE=python:3.12-slim

# What haizen depends on, from the lock file: this layer is made anew only when the lock file changes.
FROM ${BASE} AS dependencies
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/haizen/venv \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --no-cache-dir uv hatchling
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN python3 -m venv --without-pip /opt/haizen/venv \
    && /opt/tools/bin/uv sync --quiet --frozen --no-dev --no-install-project --compile-bytecode --extra operator

# haizen itself, a thin layer of its own.
FROM dependencies AS package
COPY README.md LICENSE ./
COPY operator operator
COPY runtime runtime
COPY cli cli
RUN /opt/tools/bin/uv build --quiet --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /dist \
    && /opt/tools/bin/uv pip install --quiet --no-deps --compile-bytecode \
       --python /opt/haizen/venv/bin/python --target /opt/haizen/app /dist/*.whl

FROM ${BASE}
COPY --from=dependencies /opt/haizen/venv /opt/haizen/venv
COPY --from=package /opt/haizen/app /opt/haizen/app
ENV PATH=/opt/haizen/app/bin:/opt/haizen/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/haizen/app \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
WORKDIR /tmp
EXPOSE 8081
ENTRYPOINT ["haizen-operator"]
