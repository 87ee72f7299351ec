import type { KeyObject } from "node:crypto";
import { readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { openedCertificate, pathTo } from "../ca/path.ts";
import { pemBlocks, toPem } from "../ca/pem.ts";
import { Revocations } from "../ca/revocations.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { formatServiceAccountId, parseServiceAccountId } from "../spiffe.ts";

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
  check: SvidCheck,
): Svid {
  const chain = elements.slice(0, -1).flatMap((pem) => pemBlocks(pem, "CERTIFICATE").slice(0, 1));
  const [leaf] = chain;
  if (leaf === undefined) throw refusal("it holds no certificate of ours, or no roots after it");
  const fields = readCertificate(leaf);
  if (!Buffer.from(own.publicKey).equals(fields.publicKey)) throw refusal("it is for another key than ours");
  const { spiffeId, trustDomain } = identityIn(uriNames(fields), check.expected);
  const { notBefore } = fields;
  const notAfter = Math.min(...(["client", "server"] as const).map((role) => endOfPath(chain, role, check)));
  const key = own.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return {
    spiffeId,
    trustDomain,
    chain: chain.map((der) => toPem("CERTIFICATE", der)).join(""),
    key,
    notBefore,
    notAfter,
  };
}

const refusal = (why: string): MeshError => new MeshError("denied", `the CA's answer cannot be used: ${why}`);

function identityIn(
  names: readonly string[],
  expected: ExpectedIdentity,
): { readonly spiffeId: string; readonly trustDomain: string } {
  const [spiffeId, ...more] = names;
  if (spiffeId === undefined || more.length > 0) throw refusal(`it has ${names.length} URI names, not one`);
  const id = parseServiceAccountId(spiffeId);
  const wanted = formatServiceAccountId({ ...expected, trustDomain: expected.trustDomain ?? id.trustDomain });
  if (formatServiceAccountId(id) !== wanted) throw refusal(`it is for ${spiffeId}, and we are ${wanted}`);
  return { spiffeId, trustDomain: id.trustDomain };
}

function endOfPath(chain: readonly Uint8Array[], role: "client" | "server", check: SvidCheck): EpochMs {
  const anchors = pemBlocks(check.roots, "CERTIFICATE").map(openedCertificate);
  const path = pathTo(anchors, chain.map(openedCertificate), { role, now: check.now, revocations: new Revocations() });
  if (path.why === undefined) return path.expiresAt;
  throw refusal(`it does not lead to a root in ${check.rootFile}: ${path.why}`);
}
