# Linted (make check), not yet built: no Docker daemon was at hand.
# CPU:   docker build -t cmae-ablate .
# CUDA:  docker build -t cmae-ablate:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# Run:   docker run --rm -v "$PWD/runs:/work/runs" cmae-ablate run decoder_size
#        with a GPU: docker run --rm --gpus all --shm-size 2g ... (torch's CUDA wheels bring their own libraries)
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    CMAE_ABLATE_CACHE=/work/cache

# git: the commit of a working directory is recorded beside its results. g++: torch.compile.
# Not pinned: Debian's stable release does that, and drops old versions from its servers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git g++ \
    && rm -rf /var/lib/apt/lists/*

# torch first, from the index of its kind: the layer stays while only our own code changes.
COPY constraints.txt /src/constraints.txt
RUN pip install --constraint /src/constraints.txt --index-url "${TORCH_INDEX}" torch torchvision

COPY . /src
RUN pip install --constraint /src/constraints.txt /src

RUN useradd --create-home --uid 1000 ablate && mkdir -p /work/runs /work/cache && chown -R ablate /work
USER 1000
WORKDIR /work
VOLUME ["/work/runs", "/work/cache"]
ENTRYPOINT ["cmae-ablate"]
CMD ["doctor"]
