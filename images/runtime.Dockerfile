# The model server; kinds.yaml has the kinds that it is built as. Any Debian-based image with Python 3.11 or newer and
# ca-certificates can be the base.
ARG BASE=python:3.12-slim

# uv and hatchling, which no image keeps.
FROM ${BASE} AS tools
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_PYTHON_DOWNLOADS=never \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --no-cache-dir uv hatchling
WORKDIR /src

# What the lock file says for these extras; a change elsewhere in pyproject.toml gives the same list.
FROM tools AS requirements
ARG EXTRAS="runtime sklearn skops xgboost lightgbm onnx"
COPY pyproject.toml uv.lock ./
RUN extras="$(for extra in ${EXTRAS}; do echo "--extra ${extra}"; done)" \
    && /opt/tools/bin/uv export --quiet --frozen --no-dev --no-emit-project --no-header ${extras} --output-file /requirements.txt \
    && /opt/tools/bin/uv export --quiet --frozen --no-dev --no-header ${extras} --format cyclonedx1.5 --output-file /python.cdx.json

# haizen itself, a thin layer.
FROM tools AS package
RUN python3 -m venv --without-pip /opt/haizen/venv
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
COPY runtime runtime
COPY cli cli
RUN /opt/tools/bin/uv build --quiet --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /dist \
    && /opt/tools/bin/uv pip install --quiet --no-cache --no-deps --compile-bytecode \
       --python /opt/haizen/venv/bin/python --target /opt/haizen/app /dist/*.whl

# All that others made.
FROM ${BASE} AS libraries
# Some wheels need Debian's packages: lightgbm's libgomp, for one. Official Python images come without a compiled standard
# library, which would cost every cold start a third of a second, since the container's user cannot write it either.
# (Java's package links manual pages, also where slim images have taken their folder away.)
ARG PACKAGES="libgomp1"
RUN mkdir -p /usr/share/man/man1 \
    && { [ -z "${PACKAGES}" ] || { apt-get update -qq && apt-get install -qq -y --no-install-recommends ${PACKAGES}; }; } \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt \
    && python3 -m compileall -q -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' \
       "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=requirements /requirements.txt /opt/haizen/requirements.txt
# uv is only lent to this step, so that what it installs is a layer of the image and not copied from a stage.
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    && python3 -m venv --without-pip /opt/haizen/venv \
    && /opt/tools/bin/uv pip install --quiet --no-cache --require-hashes --compile-bytecode \
       --python /opt/haizen/venv/bin/python -r /opt/haizen/requirements.txt

# What the image is made of, as CycloneDX: the lock file's part and Debian's packages. Copied, and not mounted, since
# buildah makes a layer anew only when files that it copies have changed.
FROM libraries AS bill
COPY images/sbom.py /sbom.py
COPY --from=requirements /python.cdx.json /python.cdx.json
RUN python3 /sbom.py < /python.cdx.json > /sbom.cdx.json

FROM libraries
COPY --from=bill /sbom.cdx.json /opt/haizen/sbom.cdx.json
COPY --from=package /opt/haizen/app /opt/haizen/app
ENV PATH=/opt/haizen/app/bin:/opt/haizen/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/haizen/app \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["haizen-runtime"]
