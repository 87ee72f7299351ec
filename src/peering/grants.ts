import { byCodeUnit } from "../registry/collection/collection.ts";
import { type Granted, type GrantedPeer, type GrantLimit, isFor } from "../registry/model/granted.ts";
import type { PeerGrant } from "../registry/model/peer-grant.ts";

/** Equal for grants that say the same, by whomever: peers that have it can share what is made for it. */
export const grantKey = (granted: Granted): string => JSON.stringify(sorted(granted.map(limitKey)));

const limitKey = ({ scopes }: GrantLimit): string =>
  JSON.stringify(
    sorted(
      scopes.map(({ namespaces, services }) =>
        JSON.stringify([sorted(namespaces), services === undefined ? null : sorted(services)]),
      ),
    ),
  );

const sorted = (texts: readonly string[]): readonly string[] => [...new Set(texts)].sort(byCodeUnit);

/** Whether a grant names this peer. One that could not be read names nobody, though it limits everybody; nor does a bound. */
export const isNamedBy = (grant: PeerGrant, peer: GrantedPeer): boolean =>
  grant.bound === false && (grant.cluster !== undefined || grant.trustDomain !== undefined) && isFor(grant, peer);
