# docker build --build-arg VERSION="$(git describe --tags --always --dirty)" --tag conduit .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOCACHE=/cache/build GOMODCACHE=/cache/modules

# Modules in a layer of their own: they change less often than the code.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache go mod download

COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/cache \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /conduit ./cmd/conduit

RUN mkdir /data

# Nothing but the program: no shell, no package manager, nobody to become root.
FROM scratch
# For PostgreSQL over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /conduit /conduit
# A new volume takes its owner from here.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
# SQLite puts temporary files into the working directory when there is no /tmp.
WORKDIR /data
VOLUME /data
ENV CONDUIT_LISTEN=0.0.0.0:8080 \
    CONDUIT_DATABASE=sqlite:/data/conduit.db \
    CONDUIT_KEY_FILE=/data/conduit.key
EXPOSE 8080
# It asks at CONDUIT_LISTEN. To listen elsewhere, set that variable and not the flag.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s CMD ["/conduit", "health"]
ENTRYPOINT ["/conduit"]
CMD ["serve"]
