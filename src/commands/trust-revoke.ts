import type { Maker } from "../ca/intermediate.ts";
import type { Command } from "../command.ts";
import { CertificateStore } from "../manager/store/certificate-store.ts";
import { TokenStore } from "../manager/store/token-store.ts";
import { CLUSTER_FLAG, clusterFlagOf, openTrustStore, TRUST_STORE_FLAGS } from "./trust-store.ts";

const NO_LOG = { enabled: () => false, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** `causeway trust revoke`: ends what a cluster proves itself with, and leaves its intermediate. */
export const trustRevokeCommand = ({ clock, random }: Maker, open = openTrustStore): Command => ({
  name: "revoke",
  summary: "make void the client certificates that a cluster has, and its tokens, used or not",
  flags: [CLUSTER_FLAG, ...TRUST_STORE_FLAGS],
  async run(call) {
    const cluster = clusterFlagOf(call);
    const { store, close } = await open(call.options, call.environment);
    try {
      const tokens = new TokenStore(store);
      // Those that were used, too: until it ends, whoever used one may ask again with the same key.
      const valid = (await tokens.list()).filter((token) => token.cluster === cluster && token.revokedAt === undefined);
      // First, so that none of them enrolls past the rest.
      for (const { id } of valid) await tokens.revoke(id, clock.now());
      const certificates = new CertificateStore({ clock, log: { scope: () => NO_LOG } }, store);
      const cause = `revoked-${Buffer.from(random.bytes(8)).toString("hex")}`;
      const since = await certificates.renounce(cluster, cause);
      call.printer.out(
        `client certificates that cluster ${cluster} got before ${new Date(since).toISOString()} are void, and ${valid.length} ${valid.length === 1 ? "token" : "tokens"}\n`,
      );
      call.printer.err(
        `its stream ends within ten seconds, and it is refused until it enrolls by a new token; its intermediate lives on to its end\n`,
      );
      return 0;
    } finally {
      await close();
    }
  },
});
