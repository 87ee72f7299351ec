import { status } from "@grpc/grpc-js";
import { spire } from "../../../proto/gen/mesh.js";
import type { AgentCache, HeldSvid } from "./agent-cache.ts";
import { matching, withOwnHints } from "./agent-entries.ts";
import { CallError } from "./call-error.ts";
import type { Incoming, Outgoing, StreamRpc } from "./door.ts";
import { follow } from "./follow.ts";

const SERVICE = "/SpiffeWorkloadAPI";

/** What one workload hears on its socket: its identities, and whom to believe (SPIFFE Workload API). */
export function workloadApi(
  cache: AgentCache,
  trustDomain: string,
  selectors: readonly string[],
): readonly StreamRpc[] {
  const method = (name: string, say: () => Uint8Array): StreamRpc => ({
    kind: "stream",
    path: `${SERVICE}/${name}`,
    open: async (_: Uint8Array, incoming: Incoming, outgoing: Outgoing) => {
      // Else a page in a browser could have a proxy ask for it (SPIFFE Workload Endpoint 4).
      if (incoming.header("workload.spiffe.io") !== "true")
        throw new CallError(status.INVALID_ARGUMENT, "security header missing from request");
      return follow(cache, outgoing, say);
    },
  });
  const own = (): readonly HeldSvid[] => {
    const held = withOwnHints(
      matching(
        cache.view.svids.map(({ entry }) => entry),
        selectors,
      ),
    );
    if (held.length === 0) throw new CallError(status.PERMISSION_DENIED, "no identity issued");
    return cache.view.svids.filter(({ entry }) => held.includes(entry));
  };
  return [
    method("FetchX509SVID", () => svidsOf(own(), cache, trustDomain)),
    method("FetchX509Bundles", () => {
      const bundles = { ...ownBundle(cache, trustDomain), ...federated(own(), cache) };
      return spire.WorkloadX509BundlesResponse.encode({ bundles }).finish();
    }),
  ];
}

function svidsOf(own: readonly HeldSvid[], cache: AgentCache, trustDomain: string): Uint8Array {
  const bundle = ownBundle(cache, trustDomain)[`spiffe://${trustDomain}`] ?? Buffer.alloc(0);
  const svids = own.map(({ entry: { spiffeId, hint }, chain, key }) => ({
    spiffeId,
    x509Svid: Buffer.concat(chain),
    x509SvidKey: key,
    bundle,
    hint,
  }));
  return spire.WorkloadX509SvidResponse.encode({ svids, federatedBundles: federated(own, cache) }).finish();
}

const ownBundle = ({ view }: AgentCache, trustDomain: string): Record<string, Uint8Array> => ({
  [`spiffe://${trustDomain}`]: Buffer.concat(view.bundles.get(trustDomain) ?? []),
});

/** Those that the entries of these identities name. */
function federated(own: readonly HeldSvid[], { view }: AgentCache): Record<string, Uint8Array> {
  const names = new Set(own.flatMap(({ entry }) => entry.federatesWith));
  const found = [...view.bundles].filter(([name]) => names.has(name));
  return Object.fromEntries(found.map(([name, roots]) => [`spiffe://${name}`, Buffer.concat(roots)]));
}
