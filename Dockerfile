# The demo in a container:  docker build -t fesurrogate . && docker run --rm fesurrogate
# The first stage is the environment alone; env/run builds it and mounts a checkout into it.
ARG DEBIAN_SUITE=trixie
FROM debian:${DEBIAN_SUITE}-slim AS environment

COPY env/debian-packages.txt env/pip-packages.txt /usr/local/share/fesurrogate/
RUN apt-get -o Acquire::Check-Valid-Until=false update \
 && sed 's/#.*//' /usr/local/share/fesurrogate/debian-packages.txt \
  | DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --system-site-packages /usr/local/lib/fesurrogate \
 && /usr/local/lib/fesurrogate/bin/python3 -m pip install --no-cache-dir \
    -r /usr/local/share/fesurrogate/pip-packages.txt
ENV PATH=/usr/local/lib/fesurrogate/bin:$PATH LANG=C.UTF-8

# The command finds this image's own Python (way 1 of env/run).
FROM environment AS demo
COPY . /opt/fesurrogate
WORKDIR /opt/fesurrogate
CMD ["make", "demo"]
