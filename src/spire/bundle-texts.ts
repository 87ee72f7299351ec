import type { EpochMs } from "../host.ts";
import { printable } from "../printable.ts";
import { isTrustDomain } from "../spiffe.ts";
import { endOf, nameOf, whyNoAuthorities } from "./authorities.ts";
import type { SpireBundle } from "./spire.ts";

type Said = Pick<SpireBundle, "trustDomain" | "authorities">;

/** Why what SPIRE says of our own trust domain is not believed; undefined if it is. */
export function whyNotOwn({ trustDomain, authorities }: Said, own: string, now: EpochMs): string | undefined {
  const bundle = `SPIRE's bundle of trust domain ${own}`;
  if (trustDomain !== own)
    return `SPIRE is of trust domain ${printable(trustDomain, 255)}, and this mesh of ${own}: ask another server or agent, or start with another --trust-domain`;
  const [first] = authorities;
  if (first === undefined) return `${bundle} is empty, and would end the trust in every workload`;
  const why = whyNoAuthorities(authorities);
  if (why !== undefined) return `${bundle} cannot be used: ${why}`;
  if (authorities.some((authority) => endOf(authority) > now)) return undefined;
  return `${bundle} has no root that is still valid, ${nameOf(first)} ended at ${timeOf(endOf(first))}: ${RENEW}`;
}

/** The same of a trust domain that it is federated with. */
export function whyNotFederated({ trustDomain, authorities }: Said): string | undefined {
  if (!isTrustDomain(trustDomain))
    return `SPIRE is federated with "${printable(trustDomain, 80)}", and no trust domain has such a name`;
  const why = whyNoAuthorities(authorities);
  return why && `SPIRE's bundle of trust domain ${trustDomain}, which it is federated with, cannot be used: ${why}`;
}

export const tooManyText = (count: number, max: number): string =>
  `SPIRE is federated with ${count} trust domains, and only ${max} of them are taken`;

export const endedText = (own: string): string =>
  `No root that SPIRE named for trust domain ${own} is still valid, so no SVID verifies: ${RENEW}.`;

export const taintedText = (authority: Uint8Array): string =>
  `SPIRE has tainted its authority ${nameOf(authority)}: what it signed is to be renewed. ztunnels do so at half of a ` +
  "certificate's life; revoke it only after that, as until then they still show certificates under it.";

export const OLDER_TEXT =
  "SPIRE's server says an older bundle than before, as if it had been put back to an earlier state. Roots that it does " +
  "not name any more stay trusted until they end; if no certificate is under them, delete spire-bundles.json in the state " +
  "folder and restart.";

const RENEW = "see why SPIRE's server has not renewed its authority, and whether the clocks are right";
const timeOf = (time: EpochMs): string => new Date(time).toISOString();
