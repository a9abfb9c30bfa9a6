# syntax=docker/dockerfile:1

# The server in a container; why it is as it is: docs/adr/0006-docker-image.md.
#
#     docker build -t picoclaw .                                               what the agent needs for most work
#     docker build -t picoclaw:full --target full .                            with a browser and fonts
#     docker build -t picoclaw:lambda --build-arg ENABLE_LAMBDA_ADAPTER=true . with the AWS Lambda Web Adapter
#
# Debian 13 or later: setpriv that knows Landlock (util-linux 2.41), curl that reads variables (8.3).
ARG BASE_IMAGE=node:24.21.0-trixie-slim@sha256:8ec5d7557396cfe32d21c3f9c13072355ceab22b584578ca4bb28af31120cffe
ARG LAMBDA_ADAPTER_IMAGE=public.ecr.aws/awsguru/aws-lambda-adapter:0.9.1@sha256:46d6625e68cbbdd2efab4a20245977664513f13ffef47915b000d431adcea0b4
ARG ENABLE_LAMBDA_ADAPTER=false

# The bundle is the same for every processor: made where the build runs, not under emulation.
FROM --platform=$BUILDPLATFORM ${BASE_IMAGE} AS bundle
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN --mount=type=cache,target=/var/cache/npm npm ci --ignore-scripts --cache /var/cache/npm
COPY scripts/build.ts scripts/
COPY src src
RUN node scripts/build.ts

# Of the Agent SDK's claude programs npm takes the one of this processor and this C library; two would be 360 MB too many, and with
# none nothing works. What npm puts beside the SDK (its peers) is in the bundle already, or is not needed.
FROM ${BASE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/var/cache/npm npm ci --omit=dev --ignore-scripts --cache /var/cache/npm \
  && node_modules/@anthropic-ai/claude-agent-sdk-linux-*/claude --version \
  && test "$(find node_modules/@anthropic-ai -name 'claude-agent-sdk-*' -prune -print | wc -l)" = 1 \
  && find node_modules -mindepth 1 -maxdepth 1 ! -name @anthropic-ai -exec rm -r {} + \
  && find node_modules/@anthropic-ai -mindepth 1 -maxdepth 1 ! -name 'claude-agent-sdk*' -exec rm -r {} +

FROM ${BASE_IMAGE} AS server
# Not pinned one by one: the base image pins the release of Debian, and what is newer in that is security updates.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends bubblewrap ca-certificates curl git jq python3 ripgrep tini \
  && rm -rf /var/lib/apt/lists/*
# Programs that no process of their own user can look into (docs/adr/0027-the-servers-own-secrets.md): whatever is started with the
# secrets in its environment is one of these. The folders are where a volume is to be mounted, if it is mounted nowhere else.
RUN install -D -m 0711 -t /app/bin /usr/bin/tini /usr/local/bin/node /usr/bin/curl \
  && install -d -o node -g node /data /data/memory /data/store
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=bundle /app/dist dist
# Whoever has cloned with a strict umask: the server's user must read them.
COPY --chmod=0755 built-in-skills built-in-skills
COPY --chmod=0755 package.json LICENSE entrypoint.sh ./
COPY --chmod=0755 docs/configuration.md docs/
# `docker stop` kills after 10 s.
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache PORT=9000 SHUTDOWN_GRACE_MS=8000

# Node's compile cache counts only for the user that filled it, and only in a folder that this user cannot write is it safe from the
# agent. So the server is started once as its user, and the cache is given to root. It also shows that the image works.
RUN install -d -o node -g node "$NODE_COMPILE_CACHE" \
  && setpriv --reuid node --regid node --init-groups \
     env HOME=/tmp HOST=127.0.0.1 ANTHROPIC_API_KEY=none LOG_LEVEL=warn WARM_SPARES=0 \
     MEMORY_DIR=/tmp/build/memory STORE_DIR=/tmp/build/store LOCAL_DB_PATH=/tmp/build/messages.db \
     sh -c './entrypoint.sh & \
       curl -fsS -o /tmp/build-health --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$PORT/health" \
       && curl -fsS -o /tmp/build-openapi "http://127.0.0.1:$PORT/openapi.json"; answered=$?; \
       kill $!; wait $! && exit $answered' \
  && chown -R root:root "$NODE_COMPILE_CACHE" \
  && rm -rf /tmp/*

# Numbers, so that a platform can see that it is not root. Any other user works too, if it may write the two folders.
USER 1000:1000
EXPOSE 9000
# Not `init: true` or `docker run --init` beside it: that would be one more process with the secrets, and one to look into.
ENTRYPOINT ["/app/entrypoint.sh"]
# Without a shell in front, for the same reason.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --start-interval=1s \
  CMD ["/app/bin/curl", "-q", "-fsS", "-o", "/dev/null", "--noproxy", "*", "--variable", "%PORT", "--expand-url", "http://127.0.0.1:{{PORT}}/health"]

ARG VERSION="" COMMIT=unknown CREATED=unknown
ENV APP_VERSION=${VERSION} BUILD_COMMIT=${COMMIT} BUILD_TIME=${CREATED}
LABEL org.opencontainers.image.title="PicoClaw" \
  org.opencontainers.image.description="Claude agents behind an HTTP API, with memory on a mounted folder" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${COMMIT}" \
  org.opencontainers.image.created="${CREATED}"

FROM ${LAMBDA_ADAPTER_IMAGE} AS lambda-adapter

FROM server AS adapter-false

# An extension of Lambda; on any other platform nothing starts it. The readiness check takes 503 for "not yet".
FROM server AS adapter-true
COPY --from=lambda-adapter /lambda-adapter /opt/extensions/lambda-adapter
ENV AWS_LWA_INVOKE_MODE=response_stream AWS_LWA_READINESS_CHECK_PATH=/health

FROM adapter-${ENABLE_LAMBDA_ADAPTER} AS full
USER root
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends chromium fonts-liberation fonts-noto-cjk fonts-noto-color-emoji \
  && rm -rf /var/lib/apt/lists/*
USER 1000:1000

# The last stage is what is built when none is named.
FROM adapter-${ENABLE_LAMBDA_ADAPTER} AS default
