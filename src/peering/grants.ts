import type { ClusterId } from "../names.ts";
import { byCodeUnit } from "../registry/collection/collection.ts";
import { type GrantScope, inScope, matchesPattern, type PeerGrant } from "../registry/model/peer-grant.ts";

/** Whom a grant may be for. */
export interface GrantedPeer {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
}

/** What of one direction is granted: nothing is limited, or what any of these scopes takes in. */
export type Granted = "everything" | readonly GrantScope[];

/** Whether a grant is for this peer. */
export const isFor = ({ cluster, trustDomain }: PeerGrant, peer: GrantedPeer): boolean =>
  (cluster === undefined || cluster === peer.cluster) &&
  (trustDomain === undefined || trustDomain === peer.trustDomain);

/** What a peer may read of what we share: grants add up, and one that does not speak of exports limits none. */
export const exportsTo = (peer: GrantedPeer, grants: Iterable<PeerGrant>): Granted =>
  granted(peer, grants, ({ exports }) => exports);

/** What a peer may contribute endpoints to. */
export const importsFrom = (peer: GrantedPeer, grants: Iterable<PeerGrant>): Granted =>
  granted(peer, grants, ({ imports }) => imports);

function granted(
  peer: GrantedPeer,
  grants: Iterable<PeerGrant>,
  scopeOf: (grant: PeerGrant) => GrantScope | undefined,
): Granted {
  const scopes: GrantScope[] = [];
  for (const grant of grants) {
    const scope = isFor(grant, peer) ? scopeOf(grant) : undefined;
    if (scope !== undefined) scopes.push(scope);
  }
  return scopes.length === 0 ? "everything" : scopes;
}

/** Whether a service is granted. */
export const takesIn = (granted: Granted, namespace: string, name: string): boolean =>
  granted === "everything" || granted.some((scope) => inScope(scope, namespace, name));

/** Whether anything of a namespace may be granted. */
export const takesInNamespace = (granted: Granted, namespace: string): boolean =>
  granted === "everything" ||
  granted.some(
    ({ namespaces, services }) =>
      (services === undefined || services.length > 0) &&
      namespaces.some((pattern) => matchesPattern(pattern, namespace)),
  );

/** Equal for grants that say the same: peers that have it can share what is made for it. */
export function grantKey(granted: Granted): string {
  if (granted === "everything") return "*";
  const sorted = (names: readonly string[]): readonly string[] => [...new Set(names)].sort(byCodeUnit);
  const scopes = granted.map(({ namespaces, services }) =>
    JSON.stringify([sorted(namespaces), services === undefined ? null : sorted(services)]),
  );
  return sorted(scopes).join();
}

/** Whether a grant names this peer: one that could not be read names nobody, though it limits everybody. */
export const isNamedBy = (grant: PeerGrant, peer: GrantedPeer): boolean =>
  (grant.cluster !== undefined || grant.trustDomain !== undefined) && isFor(grant, peer);
