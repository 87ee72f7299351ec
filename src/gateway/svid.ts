import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { openedCertificate, pathTo } from "../ca/path.ts";
import { pemBlocks, toPem } from "../pem.ts";
import { Revocations } from "../ca/revocations.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";
import type { AgentSvid } from "../spire/spire.ts";

/** Our identity, to be shown to others. The key never leaves this process but over the socket of our own Envoy. */
export interface Svid {
  readonly spiffeId: string;
  readonly trustDomain: string;
  /** In PEM, leaf first, root left out. */
  readonly chain: string;
  /** PKCS#8 in PEM. */
  readonly key: string;
  readonly notBefore: EpochMs;
  /** When the first certificate on the way to the root ends. */
  readonly notAfter: EpochMs;
}

export interface ExpectedIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Undefined for any. */
  readonly trustDomain: string | undefined;
}

export interface SvidCheck {
  readonly expected: ExpectedIdentity;
  /** PEM of the roots that we know, whatever the answer says. */
  readonly roots: string;
  /** Where they come from, for errors. */
  readonly rootFile: string;
  readonly now: EpochMs;
}

/**
 * Holds an answer of the CA to what was asked for: our identity and no other, our key, a way to a root that we know,
 * valid now, good for both ends of a connection (contract identity.md 2.3).
 * @param elements of the answer (contract ztunnel.md 4.3): leaf, chain, and roots in the last, which we do not believe.
 * @throws MeshError `denied`, saying what does not hold.
 */
export function checkedSvid(
  elements: readonly string[],
  own: { readonly privateKey: KeyObject; readonly publicKey: Uint8Array },
  { expected, roots, rootFile, now }: SvidCheck,
): Svid {
  const chain = elements.slice(0, -1).flatMap((pem) => pemBlocks(pem, "CERTIFICATE").slice(0, 1));
  return checked(
    { chain, ...own },
    { expected, anchors: pemBlocks(roots, "CERTIFICATE"), anchorsAre: `a root in ${rootFile}`, now },
    (why) => new MeshError("denied", `the CA's answer cannot be used: ${why}`),
  );
}

/**
 * Holds what SPIRE's agent gives to the same, with the bundle that came with it.
 * @throws MeshError `denied`, saying what does not hold.
 */
export function checkedSpireSvid(
  { chain, key }: AgentSvid,
  bundle: readonly Uint8Array[],
  expected: ExpectedIdentity,
  now: EpochMs,
): Svid {
  const refusal = (why: string): MeshError => new MeshError("denied", `what SPIRE's agent gave cannot be used: ${why}`);
  const check = { expected, anchors: bundle, anchorsAre: "an authority in SPIRE's bundle", now };
  return checked({ chain, ...keyPair(key, refusal) }, check, refusal);
}

interface Shown {
  /** In DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

interface ShownCheck {
  readonly expected: ExpectedIdentity;
  /** In DER. */
  readonly anchors: readonly Uint8Array[];
  /** For errors. */
  readonly anchorsAre: string;
  readonly now: EpochMs;
}

type Refusal = (why: string) => MeshError;

function checked({ chain, privateKey, publicKey }: Shown, check: ShownCheck, refusal: Refusal): Svid {
  const [leaf] = chain;
  if (leaf === undefined) throw refusal("it holds no certificate of ours, or no roots after it");
  const fields = readCertificate(leaf);
  if (!Buffer.from(publicKey).equals(fields.publicKey)) throw refusal("it is for another key than ours");
  const { spiffeId, trustDomain } = identityIn(uriNames(fields), check.expected, refusal);
  const ends = (["client", "server"] as const).map((role) => endOfPath(chain, role, check, refusal));
  return {
    spiffeId,
    trustDomain,
    chain: chain.map((der) => toPem("CERTIFICATE", der)).join(""),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    notBefore: fields.notBefore,
    notAfter: Math.min(...ends),
  };
}

function identityIn(
  names: readonly string[],
  expected: ExpectedIdentity,
  refusal: Refusal,
): { readonly spiffeId: string; readonly trustDomain: string } {
  const [spiffeId, ...more] = names;
  if (spiffeId === undefined || more.length > 0) throw refusal(`it has ${names.length} URI names, not one`);
  const id = parseServiceAccountId(spiffeId);
  const wanted = formatServiceAccountId({ ...expected, trustDomain: expected.trustDomain ?? id.trustDomain });
  if (formatServiceAccountId(id) !== wanted) throw refusal(`it is for ${spiffeId}, and we are ${wanted}`);
  return { spiffeId, trustDomain: id.trustDomain };
}

function endOfPath(
  chain: readonly Uint8Array[],
  role: "client" | "server",
  { anchors, anchorsAre, now }: ShownCheck,
  refusal: Refusal,
): EpochMs {
  const check = { role, now, revocations: new Revocations() };
  const path = pathTo(anchors.map(openedCertificate), chain.map(openedCertificate), check);
  if (path.why === undefined) return path.expiresAt;
  throw refusal(`it does not lead to ${anchorsAre}: ${path.why}`);
}

function keyPair(key: Uint8Array, refusal: Refusal): Pick<Shown, "privateKey" | "publicKey"> {
  try {
    const privateKey = createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" });
    return { privateKey, publicKey: createPublicKey(privateKey).export({ type: "spki", format: "der" }) };
  } catch {
    // What OpenSSL says of a key is nobody's business.
    throw refusal("its key is none that we can read");
  }
}
