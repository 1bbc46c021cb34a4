# syntax=docker/dockerfile:1
# Two images: `docker build --target flows .` for the pods of Argo Workflows, `--target serving .` for the service.
# Override PYTHON_IMAGE with a digest (python:3.11.14-slim-bookworm@sha256:...) where builds must be reproducible.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS uv
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/venv
WORKDIR /build
COPY pyproject.toml uv.lock ./

FROM uv AS flows-packages
RUN uv sync --frozen --no-dev --no-install-project

FROM uv AS serving-packages
RUN uv sync --frozen --only-group serving

FROM ${PYTHON_IMAGE} AS base
# LightGBM, which NannyML imports, brings no OpenMP of its own. Debian keeps one version of it for each release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# No account name is looked up and nothing but /work and /tmp is written.
RUN groupadd --gid 10001 churnflow \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /work churnflow \
    && install -d -o 10001 -g 10001 /work
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/work USER=churnflow CHURNFLOW_PROFILE=cluster \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /work

FROM base AS flows
# Metaflow must not run pip when a pod starts.
ENV METAFLOW_SKIP_INSTALL_DEPENDENCIES=1 METAFLOW_USER=churnflow
COPY --from=flows-packages /opt/venv /opt/venv
# BentoML asks for it when TrainFlow packages a champion, and would install it with a pip that is not there.
COPY --from=uv /usr/local/bin/uv /usr/local/bin/uv
USER 10001:10001

FROM base AS serving
ENV BENTOML_HOME=/bento BENTOML_DO_NOT_TRACK=True
COPY --from=serving-packages /opt/venv /opt/venv
# For the init container alone (PYTHONPATH=/opt/churnflow): a Bento brings its own copy.
COPY flows/churn /opt/churnflow/churn
RUN python -m compileall -q /opt/churnflow && install -d -o 10001 -g 10001 /bento
USER 10001:10001
EXPOSE 3000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/readyz', timeout=2)"]
CMD ["bentoml", "serve", "churn_service", "--host", "0.0.0.0", "--port", "3000"]
