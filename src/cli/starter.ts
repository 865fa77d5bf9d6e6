// Owns the text that a new project starts with. Every key that stands commented out shows its default.

export const starterConfig = `# Truespoke: which systems are kept in agreement, and how. Secrets are references: \${NAME} (environment or .env) or file:path.
# \`truespoke check\` looks at this file and every mapping; \`truespoke check --connect\` asks the systems themselves.

# Left out: an embedded Postgres in .truespoke/. Otherwise any Postgres 14 or later with wal_level=logical.
# hub:
#   url: \${HUB_URL}

spokes:
  salesforce:
    connector: salesforce
    loginUrl: \${SALESFORCE_LOGIN_URL}
    auth:
      clientCredentials:
        clientId: \${SALESFORCE_CLIENT_ID}
        clientSecret: \${SALESFORCE_CLIENT_SECRET}

  shopify:
    connector: shopify
    shop: \${SHOPIFY_SHOP}
    accessToken: \${SHOPIFY_ACCESS_TOKEN}
    webhookSecrets:
      - \${SHOPIFY_WEBHOOK_SECRET}

# One YAML file per hub entity.
# mappings: mappings

server:
  host: 127.0.0.1
  port: 7420
`;

export const starterEnvironment = `# Copy to .env beside truespoke.yaml and fill in. Never commit .env.

# Only with your own Postgres (hub.url in truespoke.yaml).
HUB_URL=

# Only with docker-compose.yml: the password of the Postgres that it brings.
HUB_PASSWORD=

# Salesforce: an External Client App with the client credentials flow, and the My Domain address.
SALESFORCE_LOGIN_URL=https://example.my.salesforce.com
SALESFORCE_CLIENT_ID=
SALESFORCE_CLIENT_SECRET=

# Shopify: a custom app of the shop. The webhook secret is the app's client secret.
SHOPIFY_SHOP=example.myshopify.com
SHOPIFY_ACCESS_TOKEN=
SHOPIFY_WEBHOOK_SECRET=
`;

/** Where `init --simulated` expects the simulators. */
export const simulatedPorts = { salesforce: 7431, shopify: 7432 } as const;

/** The same project, pointed at simulators on this machine. */
export const simulatedConfig = starterConfig.replace(
  '    accessToken:',
  '    apiUrl: ${SHOPIFY_URL}\n    accessToken:',
);

/** Made up by the simulators, worth nothing anywhere else: so this one is written as .env itself. */
export const simulatedEnvironment = `# For the simulators: truespoke simulate <system> --port <port> --sample
SALESFORCE_LOGIN_URL=http://127.0.0.1:${simulatedPorts.salesforce}
SALESFORCE_CLIENT_ID=truespoke-simulator
SALESFORCE_CLIENT_SECRET=simulated-secret
SHOPIFY_URL=http://127.0.0.1:${simulatedPorts.shopify}
SHOPIFY_SHOP=truespoke-demo.myshopify.com
SHOPIFY_ACCESS_TOKEN=shpat_simulated_access_token
SHOPIFY_WEBHOOK_SECRET=simulated-webhook-secret
`;
