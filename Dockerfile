# CPU:  docker build -t minigpt .
# GPU:  docker build -t minigpt --build-arg JAX='jax[cuda13]' .
#       mkdir -p runs && docker run --rm -it --gpus all --user "$(id -u)" --stop-timeout 60 -v "$PWD/runs:/home/minigpt/runs" minigpt
# Jupyter:  docker run --rm -it -p 8888:8888 minigpt jupyter lab --ip 0.0.0.0
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG JAX=jax

RUN useradd --uid 1000 --create-home minigpt
WORKDIR /home/minigpt
COPY --chown=minigpt . .
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --editable '.[dev]' "${JAX}" \
    && mkdir -p runs && chmod -R a+rwX .
ENV PATH=/opt/venv/bin:$PATH XDG_CACHE_HOME=/home/minigpt/runs/.cache \
    HOME=/home/minigpt USER=minigpt

# Any other user id works too: docker run --user "$(id -u)"
USER 1000
CMD ["minigpt_train"]
