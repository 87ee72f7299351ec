import { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { PeerTrust } from "../ca/peer-trust.ts";
import { objectsOf, whyUnknown } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import * as types from "../kube/resource-types.ts";
import { pemBlocks } from "../pem.ts";
import type { Side } from "./side.ts";

/** Whom a cluster believes, and under what it signs itself; in DER. */
export interface Authority {
  readonly roots: readonly Uint8Array[];
  /** From the certificate that signs up; empty if that is not known, or is the root. */
  readonly chain: readonly Uint8Array[];
  /** Why roots are not known; undefined if they are. */
  readonly unknown: string | undefined;
}

const NO_ROOTS = "ConfigMap istio-ca-root-cert";

export function authorityOf({ facts, system }: Side): Authority {
  const roots = certificatesOf(
    objectsOf(facts, types.CONFIG_MAPS).find(isNamed(system, "istio-ca-root-cert"))?.["data"],
    ["root-cert.pem"],
    false,
  );
  const cacerts = objectsOf(facts, types.SECRETS).find(isNamed(system, "cacerts"))?.["data"];
  const unread = whyUnknown(facts, types.CONFIG_MAPS);
  // Both spellings of the files, as the control plane takes them.
  const chain = certificatesOf(cacerts, ["ca-cert.pem", "tls.crt", "cert-chain.pem"], true);
  const unknown =
    roots.length > 0
      ? undefined
      : unread === undefined
        ? `namespace ${system} has no ${NO_ROOTS} with a root-cert.pem`
        : `${NO_ROOTS} of namespace ${system} cannot be read: ${unread}`;
  return { roots, chain, unknown };
}

const isNamed =
  (namespace: string, name: string) =>
  ({ metadata }: { readonly metadata: { readonly namespace?: string; readonly name: string } }): boolean =>
    metadata.namespace === namespace && metadata.name === name;

function certificatesOf(data: unknown, keys: readonly string[], encoded: boolean): readonly Uint8Array[] {
  if (!isFields(data)) return [];
  return keys.flatMap((key) => {
    const value = data[key];
    if (typeof value !== "string") return [];
    const text = encoded ? Buffer.from(value, "base64").toString() : value;
    return pemBlocks(text, "CERTIFICATE").filter(isCertificate);
  });
}

function isCertificate(der: Uint8Array): boolean {
  try {
    return new X509Certificate(der).raw.length > 0;
  } catch {
    return false;
  }
}

/**
 * Why nothing that `signer` signs is believed by `reader`; undefined if it is. Without the intermediate, which not
 * everybody may read, a root that both have is what can be known.
 */
export function whyNotBelieved(signer: Authority, reader: Authority, more: readonly Uint8Array[]): string | undefined {
  const roots = [...reader.roots, ...more];
  if (signer.chain.length > 0) return new PeerTrust({ chain: [], roots, revocations: [] }).whyNot(signer.chain);
  const known = new Set(roots.map(fingerprintOf));
  return signer.roots.some((root) => known.has(fingerprintOf(root))) ? undefined : "they have no root in common";
}

/** As `1a2b3c4d, 5e6f7a8b`: enough to tell roots apart. */
export const shortOf = (roots: readonly Uint8Array[]): string =>
  roots.length === 0 ? "none" : roots.map((root) => fingerprintOf(root).slice(0, 8)).join(", ");
