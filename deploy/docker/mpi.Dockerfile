# syntax=docker/dockerfile:1
# Launcher and workers of an MPIJob: allgrad, and an sshd that a user without privileges runs on port 2222.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/allgrad \
    && /opt/allgrad/bin/pip install --no-cache-dir '.[all]'

FROM python:3.12-slim
# Debian keeps no older versions that could be named here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-server openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /run/sshd \
    && useradd --create-home --uid 1000 --user-group mpiuser \
    && printf 'Host *\n  Port 2222\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n' \
        > /etc/ssh/ssh_config.d/allgrad.conf \
    && printf 'Port 2222\nHostKey /home/mpiuser/.ssh/id_rsa\nPidFile /home/mpiuser/sshd.pid\nStrictModes no\nUsePAM no\n' \
        > /home/mpiuser/.sshd_config
COPY --from=build /opt/allgrad /opt/allgrad
ENV PATH=/opt/allgrad/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /work
CMD ["allgrad", "--help"]
