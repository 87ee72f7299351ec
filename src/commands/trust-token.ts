import type { Maker } from "../ca/intermediate.ts";
import { type Command, type Options, textOption, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { authorityDocument } from "../manager/store/relay-books.ts";
import type { TrustStore } from "../manager/store/store.ts";
import { TokenStore } from "../manager/store/token-store.ts";
import { fingerprintOf, readRelayRoot } from "../relay/relay-root.ts";
import { newToken, TOKEN_LIFETIME_MS_MAX } from "../relay/token.ts";
import { CLUSTER_FLAG, clusterFlagOf, openTrustStore, TRUST_STORE_FLAGS } from "./trust-store.ts";

/** What is copied by hand takes seconds. */
const TTL_MS_MIN = 10_000;

/** `causeway trust token`: what lets one cluster enroll with the trust manager, once. */
export const trustTokenCommand = ({ clock, random }: Maker, open = openTrustStore): Command => ({
  name: "token",
  summary: "print a bootstrap token, with which one cluster can enroll with the trust manager once",
  flags: [
    CLUSTER_FLAG,
    { flags: "--ttl <duration>", description: "how long it may be used, 10s to 1h; 1h by default" },
    ...TRUST_STORE_FLAGS,
  ],
  async run(call) {
    const cluster = clusterFlagOf(call);
    const ttlMs = ttlOf(call.options);
    const { store, close } = await open(call.options, call.environment);
    try {
      const createdAt = clock.now();
      const rootSha256 = await relayRootSha256(store, createdAt);
      const { text, id, hash, expiresAt } = newToken(random, { cluster, rootSha256, expiresAt: createdAt + ttlMs });
      const tokens = new TokenStore(store);
      await tokens.sweep(createdAt);
      await tokens.add({ id, cluster, hash, createdAt, expiresAt, use: undefined, revokedAt: undefined });
      call.printer.out(`${text}\n`);
      call.printer.err(
        `token ${id}: cluster ${cluster} can enroll with it once, until ${new Date(expiresAt).toISOString()}; it is not shown again\n`,
      );
      return 0;
    } finally {
      await close();
    }
  },
});

/** A folder that was mistyped must not become a manager of its own. */
async function relayRootSha256(store: TrustStore, now: EpochMs): Promise<string> {
  const document = authorityDocument(store);
  const found = await document.read();
  if (found !== undefined) return fingerprintOf(readRelayRoot(document.title, found.data, now));
  throw new MeshError(
    "absent",
    `there is no ${document.title}, so no trust manager has run there yet: start causeway trust serve first, or say where it keeps its documents with --state DIR or --trust-namespace NAME`,
  );
}

function ttlOf(options: Options): number {
  const text = textOption(options, "ttl") ?? "1h";
  const ttlMs = parseDurationMs(text) ?? 0;
  if (ttlMs >= TTL_MS_MIN && ttlMs <= TOKEN_LIFETIME_MS_MAX) return ttlMs;
  throw new UsageError(`--ttl is "${text}": give 10s to 1h, as 15m; a cluster that needs it later gets another one`);
}
