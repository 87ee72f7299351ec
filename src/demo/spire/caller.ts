import { X509Certificate } from "node:crypto";
import { readCertificate, uriNames } from "../../ca/certificate-fields.ts";
import type { SpireAgent } from "../../spire/spire.ts";
import type { HeldEntry } from "./entries.ts";
import { isAgentId } from "./identity.ts";

/** What a caller of the server may be; `any` is everybody. */
export type Role = "local" | "admin" | "downstream" | "agent" | "any";

/** Who calls the server. */
export interface SpireCaller {
  /** True on the server's own socket, where who can open it may. */
  readonly local: boolean;
  /** Of the certificate that was shown and verified. */
  readonly spiffeId: string | undefined;
}

/** What the server knows of those who call. */
export interface Registered {
  readonly entries: readonly HeldEntry[];
  readonly agents: readonly SpireAgent[];
  readonly adminIds: readonly string[];
}

/** What a caller is, by what is registered at this moment (contract identity.md 1.1). */
export function rolesOf({ local, spiffeId }: SpireCaller, registered: Registered): ReadonlySet<Role> {
  const roles = new Set<Role>(["any"]);
  if (local) roles.add("local");
  if (spiffeId === undefined) return roles;
  const own = registered.entries.filter((entry) => entry.spiffeId === spiffeId);
  if (own.some(({ admin }) => admin) || registered.adminIds.includes(spiffeId)) roles.add("admin");
  if (own.some(({ downstream }) => downstream)) roles.add("downstream");
  const agent = isAgentId(spiffeId) ? registered.agents.find(({ id }) => id === spiffeId) : undefined;
  if (agent !== undefined && !agent.banned) roles.add("agent");
  return roles;
}

/**
 * The one SPIFFE ID of a certificate that TLS has verified by all roots there are: whoever vouches for other trust
 * domains does not vouch for ours, nor we for theirs.
 */
export function spiffeIdOf(
  certificate: Uint8Array | undefined,
  own: { readonly trustDomain: string; readonly authorities: readonly Uint8Array[] },
): string | undefined {
  if (certificate === undefined) return undefined;
  const leaf = new X509Certificate(certificate);
  const [id, ...more] = uriNames(readCertificate(certificate)).filter((uri) => uri.startsWith("spiffe://"));
  if (id === undefined || more.length > 0 || leaf.ca) return undefined;
  const ours = own.authorities.some((authority) => leaf.verify(new X509Certificate(authority).publicKey));
  return ours === id.startsWith(`spiffe://${own.trustDomain}/`) ? id : undefined;
}
