# The image for `image.builder: dockerfile`, where cargo can't make a binary for Linux on the machine itself.
# The same contents as builder `host` makes: a static binary FROM scratch, certificate authorities, an unprivileged user.

FROM rust:1.95-slim-bookworm AS build
ARG PACKAGE=app
ARG PROFILE=release
ENV RUSTFLAGS="-C target-feature=+crt-static"
WORKDIR /source
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Dependencies in a layer of their own: it is made anew only when a manifest or the lock file has changed. Cargo wants
# sources for every member of the workspace, so each gets an empty one.
COPY Cargo.toml Cargo.lock ./
COPY app/Cargo.toml app/
COPY localkube/Cargo.toml localkube/
COPY xtask/Cargo.toml xtask/
RUN for member in app localkube xtask; do \
        mkdir --parents "$member/src" && touch "$member/src/lib.rs" && echo 'fn main() {}' > "$member/src/main.rs"; \
    done && \
    cargo build --profile "$PROFILE" --locked --package "$PACKAGE" --target "$(rustc -vV | sed -n 's/^host: //p')"

# The files of the context have no times; cargo would take them for older than what it has just built.
COPY app app
RUN find app -type f -exec touch {} + && \
    target="$(rustc -vV | sed -n 's/^host: //p')" && \
    cargo build --profile "$PROFILE" --locked --package "$PACKAGE" --target "$target" && \
    mkdir --parents /image/etc/ssl/certs && \
    if [ "$PROFILE" = dev ]; then folder=debug; else folder="$PROFILE"; fi && \
    cp "target/$target/$folder/$PACKAGE" /image/app && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' > /image/etc/passwd && \
    printf 'root:x:0:\nnonroot:x:65532:\n' > /image/etc/group

# checkov:skip=CKV_DOCKER_2: Kubernetes probes it, and nothing in the image could ask
FROM scratch
ARG VERSION=dev
ENV PATH=/ APP_VERSION=$VERSION
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/app"]
