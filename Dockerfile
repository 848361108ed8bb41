FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# docker build --build-arg VERSION="$(git describe --tags --always --dirty)" .
ARG VERSION=
# Static: no C, so that the image needs nothing else.
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X github.com/dqbridge/dqbridge/internal/connection.built=$VERSION" -o /out/ ./cmd/dqbridge ./cmd/dqworker

FROM scratch
# For rediss:// addresses.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/dqbridge /out/dqworker /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dqworker"]
