import { createPrivateKey, createPublicKey } from "node:crypto";
import { spire } from "../../proto/gen/mesh.js";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { DerReader } from "../ca/der.ts";
import { MeshError } from "../errors.ts";
import { isTrustDomain } from "../spiffe.ts";
import { idOf } from "./server-messages.ts";
import type { AgentSvid, AgentSvids } from "./spire.ts";

/** By the name of the trust domain: roots in DER. */
export type Bundles = ReadonlyMap<string, readonly Uint8Array[]>;

/** @throws MeshError `invalid`, saying which identity is not what it says. */
export function svidsOfWorkload(bytes: Uint8Array): AgentSvids {
  const { svids, federatedBundles } = spire.WorkloadX509SvidResponse.decode(bytes);
  const bundles = new Map(bundlesOf(federatedBundles));
  for (const { spiffeId, bundle } of svids) bundles.set(trustDomainOf(spiffeId ?? ""), certificatesOf(bundle));
  const found = svids.map((svid) =>
    checked({
      spiffeId: svid.spiffeId ?? "",
      chain: certificatesOf(svid.x509Svid),
      key: svid.x509SvidKey ?? new Uint8Array(),
      hint: svid.hint ?? "",
    }),
  );
  return { svids: found, bundles };
}

/** @throws MeshError `invalid`. */
export const bundlesOfWorkload = (bytes: Uint8Array): Bundles =>
  bundlesOf(spire.WorkloadX509BundlesResponse.decode(bytes).bundles);

/** What an agent says of those who were asked for by a delegate; bundles come apart. */
export interface DelegatedSvids {
  readonly svids: readonly AgentSvid[];
  /** Names of trust domains. */
  readonly federatesWith: readonly string[];
}

/** @throws MeshError `invalid`, saying which identity is not what it says. */
export function delegatedSvids(bytes: Uint8Array): DelegatedSvids {
  const { x509Svids, federatesWith } = spire.SubscribeToX509SvidsResponse.decode(bytes);
  const svids = x509Svids.map(({ x509Svid, x509SvidKey }) =>
    checked({
      spiffeId: idOf(x509Svid?.id),
      chain: x509Svid?.certChain ?? [],
      key: x509SvidKey ?? new Uint8Array(),
      hint: x509Svid?.hint ?? "",
    }),
  );
  return { svids, federatesWith: federatesWith.map(trustDomainOf) };
}

/** @throws MeshError `invalid`. */
export const delegatedBundles = (bytes: Uint8Array): Bundles =>
  bundlesOf(spire.SubscribeToX509BundlesResponse.decode(bytes).caCertificates);

/** The identities, with the bundles that they are to believe: their own trust domain's, and those of their entries. */
export function joined({ svids, federatesWith }: DelegatedSvids, bundles: Bundles): AgentSvids {
  const wanted = new Set([...svids.map(({ spiffeId }) => trustDomainOf(spiffeId)), ...federatesWith]);
  return { svids, bundles: new Map([...bundles].filter(([trustDomain]) => wanted.has(trustDomain))) };
}

const bundlesOf = (bundles: Readonly<Record<string, Uint8Array>>): Bundles =>
  new Map(Object.entries(bundles).map(([id, roots]) => [trustDomainOf(id), certificatesOf(roots)]));

/** Agents write trust domains as identities without a path; older ones by their names. */
function trustDomainOf(id: string): string {
  const [trustDomain = ""] = id.replace(/^spiffe:\/\//, "").split("/", 1);
  if (isTrustDomain(trustDomain)) return trustDomain;
  throw new MeshError("invalid", `${JSON.stringify(id.slice(0, 120))} is of no trust domain`);
}

/** Certificates in DER that follow each other without anything between. */
function certificatesOf(bytes: Uint8Array | null | undefined): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const reader = new DerReader(bytes ?? new Uint8Array()); !reader.atEnd;) found.push(reader.next().whole);
  return found;
}

/** An identity that nobody would believe, or whose key is another's, must not take the place of a good one. */
function checked(svid: AgentSvid): AgentSvid {
  const { spiffeId, chain, key } = svid;
  const refuse = (why: string): MeshError => new MeshError("invalid", `the SVID of ${spiffeId || "nobody"} ${why}`);
  const [leaf] = chain;
  if (leaf === undefined) throw refuse("has no certificate");
  const fields = readCertificate(leaf);
  const names = uriNames(fields);
  if (names.length !== 1 || names[0] !== spiffeId)
    throw refuse(`is a certificate of ${names.join(" and ") || "nobody"}`);
  if (!Buffer.from(fields.publicKey).equals(publicKeyOf(key))) throw refuse("comes with the key of another one");
  return svid;
}

const publicKeyOf = (key: Uint8Array): Uint8Array =>
  createPublicKey(createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" })).export({
    type: "spki",
    format: "der",
  });
