# An S3 server for the stories (moto), so that models come from where users keep them.
ARG BASE=python:3.12-slim
FROM ${BASE}
RUN python3 -m venv /opt/moto && /opt/moto/bin/pip install --no-cache-dir "moto[s3,server]>=5.1"
USER 65532:65532
ENTRYPOINT ["/opt/moto/bin/moto_server", "-H", "0.0.0.0", "-p", "9000"]
