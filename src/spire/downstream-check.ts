import { type KeyObject, X509Certificate } from "node:crypto";
import type { Authority } from "../ca/authority.ts";
import { keyIdOf } from "../ca/certificate.ts";
import { EXTENSION, pathLength, readCertificate, uriNames } from "../ca/certificate-fields.ts";
import { DerReader, TAG } from "../ca/der.ts";
import { LeafMaker } from "../ca/leaf-maker.ts";
import { openedCertificate, pathTo } from "../ca/path.ts";
import { Revocations } from "../ca/revocations.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Random } from "../host.ts";
import { nameOf } from "./authorities.ts";

/** ztunnel verifies no leaf with more authorities between it and its root (contract identity.md 2.3). */
const CHAIN_MAX = 6;

/** What an authority that SPIRE gave us is held to. */
export interface DownstreamCheck {
  readonly trustDomain: string;
  /** Of our trust domain, as workloads are told. */
  readonly roots: readonly Uint8Array[];
  readonly now: EpochMs;
  readonly random: Random;
}

/**
 * An authority from what SPIRE's server answered, believed only as a whole: a leaf under it verifies, for clients and for
 * servers, by the roots that workloads have. The server looks at no path length above it (contract identity.md 1.3).
 * @param chain in DER: its own certificate first.
 * @throws MeshError `invalid`, saying what is wrong and what mends it.
 */
export function downstreamAuthority(
  chain: readonly Uint8Array[],
  privateKey: KeyObject,
  check: DownstreamCheck,
): Authority {
  try {
    const [own] = chain;
    if (own === undefined) throw new Error("it came without a certificate");
    if (chain.length > CHAIN_MAX)
      throw new Error(`${chain.length} authorities lead to its root, and ztunnel takes ${CHAIN_MAX}`);
    if (!new X509Certificate(own).checkPrivateKey(privateKey)) throw new Error("it is not for the key that was sent");
    const foreign = chain.flatMap((der) => uriNames(readCertificate(der))).find(isForeign(check.trustDomain));
    if (foreign !== undefined) throw new Error(`it is named ${foreign}, and our trust domain is ${check.trustDomain}`);
    const { subject, extensions, publicKey, notAfter } = readCertificate(own);
    const named = extensions.get(EXTENSION.subjectKeyId);
    const keyId = named ? new DerReader(named.value).next(TAG.octetString).content : keyIdOf(publicKey);
    const authority = { subject, keyId, privateKey, chain, roots: check.roots, revocations: [], notAfter };
    return { ...authority, notAfter: endOfPath(authority, check) };
  } catch (thrown) {
    const why = messageOf(thrown);
    throw new MeshError("invalid", `the authority that SPIRE gave us cannot be used: ${why}`, {}, { cause: thrown });
  }
}

/** Why nothing that it signs verifies by these roots now; undefined if it does. */
export function whyUnverified(authority: Authority, check: DownstreamCheck): string | undefined {
  try {
    endOfPath(authority, check);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

/** When the first certificate ends on the way from a leaf as long as may be. */
function endOfPath(authority: Authority, { trustDomain, roots, now, random }: DownstreamCheck): EpochMs {
  const { publicKey } = readCertificate(authority.chain[0]!);
  const identity = { trustDomain, namespace: "probe", serviceAccount: "probe" };
  const ttlSeconds = Math.ceil((authority.notAfter - now) / 1000);
  const leaf = new LeafMaker(authority, trustDomain, random).make({ identity, publicKey, ttlSeconds }, now);
  const [anchors, shown] = [roots.map(openedCertificate), [leaf, ...authority.chain].map(openedCertificate)];
  const ends = (["server", "client"] as const).map((role) => {
    const path = pathTo(anchors, shown, { role, now, revocations: new Revocations() });
    if (path.why !== undefined)
      throw new Error(
        `a leaf under it does not verify: ${path.why}${whatLimits([...authority.chain.slice(1), ...roots])}`,
      );
    return path.expiresAt;
  });
  return Math.min(...ends);
}

/** The recipe of guide 002 leaves no room for one more authority, and SPIRE gives it without complaint. */
function whatLimits(above: readonly Uint8Array[]): string {
  const limited = above.find((der) => pathLength(readCertificate(der)).max !== undefined);
  if (limited === undefined) return "";
  const { max } = pathLength(readCertificate(limited));
  return (
    `. Above SPIRE's authority is one with a path length, ${nameOf(limited)} with pathlen:${max}: SPIRE's and ours have to fit ` +
    "below each of them, as with pathlen:3 at the root and pathlen:2 below it; or use --identity spire, which needs no authority of ours"
  );
}

const isForeign =
  (trustDomain: string) =>
  (uri: string): boolean =>
    uri.startsWith("spiffe://") && uri.split("/")[2] !== trustDomain;
