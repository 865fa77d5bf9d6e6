# Truespoke: build with everything, run with what is needed, as a user without rights.

FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# No package needs its install script here: the embedded Postgres makes its links when it starts.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
COPY mappings ./mappings
COPY migrations ./migrations
# The project: truespoke.yaml and its mappings are mounted here; .truespoke/ is written only without hub.url.
RUN ln -s /app/bin/truespoke.js /usr/local/bin/truespoke \
  && chmod 755 /app/bin/truespoke.js \
  && mkdir /project \
  && chown node:node /project
WORKDIR /project
USER node
EXPOSE 7420
STOPSIGNAL SIGTERM
# Alive, not ready: a hub that is being restarted must not make the orchestrator kill us as well.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7420/healthz').then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["truespoke"]
CMD ["run"]
