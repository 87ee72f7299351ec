import { status } from "@grpc/grpc-js";
import Long from "long";
import { spire } from "../../../proto/gen/mesh.js";
import type { AgentCache } from "./agent-cache.ts";
import { matching } from "./agent-entries.ts";
import { CallError } from "./call-error.ts";
import type { StreamRpc } from "./door.ts";
import { selectorOf } from "./entry-message.ts";
import { follow } from "./follow.ts";
import { parseSpiffeId } from "./identity.ts";

const SERVICE = "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity";
const { INVALID_ARGUMENT, PERMISSION_DENIED, UNAVAILABLE } = status;

export interface Delegation {
  /** What attestation would find of the caller; undefined for one that is trusted without. */
  readonly caller: readonly string[] | undefined;
  /** SPIFFE IDs of those who may ask for others. */
  readonly authorized: readonly string[];
  /** What attestation would find of other processes, by their ids. */
  readonly processes: ReadonlyMap<number, readonly string[]>;
}

/** What a delegate hears: the identities of other workloads, with their keys (contract identity.md 1.2). */
export function delegatedIdentity(cache: AgentCache, delegation: Delegation): readonly StreamRpc[] {
  const method = (name: string, sayFor: (request: Uint8Array) => () => Uint8Array): StreamRpc => ({
    kind: "stream",
    path: `${SERVICE}/${name}`,
    open: async (request, _, outgoing) => {
      await cache.settled();
      requireDelegate(cache, delegation);
      const say = sayFor(request);
      return follow(cache, outgoing, () => {
        requireDelegate(cache, delegation);
        return say();
      });
    },
  });
  return [
    method("SubscribeToX509SVIDs", (request) => {
      const selectors = selectorsIn(request, delegation);
      return () => svidsFor(cache, selectors);
    }),
    method("SubscribeToX509Bundles", () => () => {
      const all = [...cache.view.bundles].map(([name, roots]) => [`spiffe://${name}`, Buffer.concat(roots)]);
      return spire.SubscribeToX509BundlesResponse.encode({ caCertificates: Object.fromEntries(all) }).finish();
    }),
  ];
}

function requireDelegate({ view }: AgentCache, { caller, authorized }: Delegation): void {
  if (caller === undefined) return;
  const own = matching(
    view.svids.map(({ entry }) => entry),
    caller,
  );
  if (own.length === 0) throw new CallError(PERMISSION_DENIED, "no identity issued");
  if (!own.some(({ spiffeId }) => authorized.includes(spiffeId)))
    throw new CallError(PERMISSION_DENIED, "caller not configured as an authorized delegate");
}

/** Selectors are believed; a process is looked at once, when it is asked for. */
function selectorsIn(bytes: Uint8Array, { processes }: Delegation): readonly string[] {
  const { selectors, pid } = spire.SubscribeToX509SvidsRequest.decode(bytes);
  if (selectors.length > 0 === (pid !== 0))
    throw new CallError(INVALID_ARGUMENT, "must provide either selectors or non-zero PID, but not both");
  if (pid !== 0) {
    const found = processes.get(pid);
    if (found === undefined) throw new CallError(UNAVAILABLE, "workload attestation failed");
    return found;
  }
  try {
    return selectors.map(selectorOf);
  } catch {
    throw new CallError(INVALID_ARGUMENT, "could not parse provided selectors");
  }
}

/** An administrator's identity, or a downstream authority's, is given to nobody else. */
function svidsFor({ view }: AgentCache, selectors: readonly string[]): Uint8Array {
  const entries = matching(
    view.svids.map(({ entry }) => entry),
    selectors,
  );
  const names = entries.flatMap(({ federatesWith }) => federatesWith).filter((name) => view.bundles.has(name));
  const given = view.svids.filter(({ entry }) => entries.includes(entry) && !entry.admin && !entry.downstream);
  const x509Svids = given.map(({ entry: { spiffeId, hint }, chain, key, expiresAt }) => ({
    x509Svid: {
      certChain: [...chain],
      id: parseSpiffeId(spiffeId),
      expiresAt: Long.fromNumber(Math.floor(expiresAt / 1000)),
      hint,
    },
    x509SvidKey: key,
  }));
  const federatesWith = [...new Set(names)].sort().map((name) => `spiffe://${name}`);
  return spire.SubscribeToX509SvidsResponse.encode({ x509Svids, federatesWith }).finish();
}
