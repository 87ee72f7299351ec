import type { TrustBundle } from "../ca/signer.ts";
import { MeshError, messageOf } from "../errors.ts";
import { isTrustDomain } from "../spiffe.ts";
import { whyNoAuthorities } from "./authorities.ts";
import type { HeldBundles } from "./bundles.ts";

/** What the next process is to know of SPIRE's bundles, as JSON. */
export function writeBundles({ own, federated }: HeldBundles): string {
  const ours = own && {
    trust_domain: own.trustDomain,
    sequence: String(own.sequence),
    authorities: own.roots.map(base64Of),
    tainted: own.tainted.map(base64Of),
  };
  const others = Object.fromEntries(federated.map(({ trustDomain, roots }) => [trustDomain, roots.map(base64Of)]));
  return `${JSON.stringify({ own: ours, federated: others }, undefined, 2)}\n`;
}

/** @throws MeshError `invalid` for what `writeBundles` has not written, or has for another trust domain. */
export function readBundles(text: string, trustDomain: string): HeldBundles {
  try {
    const { own, federated } = JSON.parse(text) as Record<"own" | "federated", Readonly<Record<string, unknown>>>;
    // Ours may be one that SPIRE of another trust domain was federated with.
    const named = Object.entries(federated).filter(([name]) => name !== trustDomain);
    const others = named.map(([name, roots]) => bundleIn(name, roots));
    // Nothing of it was for us: SPIRE of another trust domain may be federated with others.
    if (own !== undefined && own["trust_domain"] !== trustDomain)
      throw new Error(`it is of trust domain ${String(own["trust_domain"])}, and ours is ${trustDomain}`);
    const ours = own && {
      ...bundleIn(trustDomain, own["authorities"]),
      tainted: certificatesIn(own["tainted"]),
      sequence: BigInt(String(own["sequence"])),
    };
    return { own: ours, federated: others };
  } catch (thrown) {
    throw new MeshError("invalid", `it does not hold what is remembered of SPIRE's bundles: ${messageOf(thrown)}`);
  }
}

function bundleIn(trustDomain: string, value: unknown): TrustBundle {
  const roots = certificatesIn(value);
  if (!isTrustDomain(trustDomain) || roots.length === 0) throw new Error(`"${trustDomain}" has no bundle`);
  return { trustDomain, roots };
}

function certificatesIn(value: unknown): readonly Uint8Array[] {
  const certificates = (value as readonly string[]).map((base64) => Buffer.from(base64, "base64"));
  const why = whyNoAuthorities(certificates);
  if (why !== undefined) throw new Error(why);
  return certificates;
}

const base64Of = (der: Uint8Array): string => Buffer.from(der).toString("base64");
