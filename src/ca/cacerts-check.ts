import { type KeyObject, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { Authority } from "./authority.ts";
import { EMPTY_NAME, keyIdOf, signCertificate } from "./certificate.ts";
import { checkTemplate } from "./template-check.ts";
import { EXTENSION, pathLength, purposes, PURPOSE, readCertificate, uriNames } from "./certificate-fields.ts";
import { CRL_FILE, checkedLists } from "./crl-check.ts";
import type { RevocationList } from "./crl.ts";
import { DerReader, TAG } from "./der.ts";

/** The files of a folder (contract ztunnel.md 4.7). */
export interface Layout {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
  /** Certificates between the first and a root; without it they follow the first. */
  readonly chain: string | undefined;
}

/** What was read from a folder. */
export interface Material {
  readonly folder: string;
  readonly layout: Layout;
  readonly key: KeyObject;
  /** The authority's own certificate first. */
  readonly chain: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  /** Revocation lists in PEM; undefined if there is no such file. */
  readonly lists: string | undefined;
}

/** ztunnel verifies no leaf with more certificates between it and its root (contract identity.md 2.3). */
const CHAIN_MAX = 6;

/**
 * Believes an authority only as a whole: each certificate is an authority that is valid now and was issued by the next,
 * the last by a root that is given, the key is the first one's, and what it signs verifies.
 * @throws MeshError `invalid`, naming the file, what is wrong in it, and what to do.
 */
export function checkedAuthority(material: Material, trustDomain: string, now: EpochMs): Authority {
  const { folder, layout, key, chain } = material;
  const [own] = chain;
  if (!own!.checkPrivateKey(key))
    throw refusal(folder, layout.key, `it is not the key of ${layout.certificate}; put the two that belong together`);
  const roots = checkRoots(material, now);
  checkLinks(material, now);
  const rootEnds = checkAnchored(material, now);
  const fields = readCertificate(own!.raw);
  const uris = chain.flatMap(({ raw }) => uriNames(readCertificate(raw)));
  const foreign = uris.find((uri) => uri.startsWith("spiffe://") && uri.split("/")[2] !== trustDomain);
  if (foreign !== undefined)
    throw refusal(folder, layout.certificate, `it is named ${foreign}, which is not of trust domain ${trustDomain}`);
  const authority: Authority = {
    subject: fields.subject,
    keyId: subjectKeyId(fields.extensions.get(EXTENSION.subjectKeyId)?.value) ?? keyIdOf(fields.publicKey),
    privateKey: key,
    chain: roots.some(({ raw }) => raw.equals(own!.raw)) ? [] : chain.map(({ raw }) => raw),
    roots: roots.map(({ raw }) => raw),
    revocations: listsOf(material, now),
    notAfter: Math.min(rootEnds, ...chain.map(({ raw }) => readCertificate(raw).notAfter)),
  };
  checkSigning(material, authority, now);
  return authority;
}

function listsOf({ folder, lists, chain, roots }: Material, now: EpochMs): readonly RevocationList[] {
  try {
    return lists === undefined ? [] : checkedLists(lists, [...chain, ...roots], now);
  } catch (thrown) {
    throw refusal(folder, CRL_FILE, messageOf(thrown));
  }
}

/** @returns those that have not expired. */
function checkRoots({ folder, layout, roots }: Material, now: EpochMs): readonly X509Certificate[] {
  const alive = roots.filter(({ raw }) => readCertificate(raw).notAfter > now);
  for (const root of alive)
    if (!pathLength(readCertificate(root.raw)).ca)
      throw refusal(
        folder,
        layout.root,
        `${nameOf(root)} is no certificate authority, and whoever has its key could be everybody; take it out`,
      );
  return alive;
}

function checkLinks({ folder, layout, chain }: Material, now: EpochMs): void {
  if (chain.length > CHAIN_MAX)
    throw refusal(
      folder,
      layout.chain ?? layout.certificate,
      `${chain.length} certificates lead to the root, and ztunnel takes ${CHAIN_MAX}; use a shorter chain`,
    );
  chain.forEach((certificate, at) => {
    const name = at === 0 ? layout.certificate : (layout.chain ?? layout.certificate);
    const why = whyUnfit(certificate, at, now);
    if (why !== undefined) throw refusal(folder, name, why);
    const next = chain[at + 1];
    if (next === undefined || issued(next, certificate)) return;
    throw refusal(
      folder,
      name,
      `${nameOf(next)} did not issue ${nameOf(certificate)}, "${oneLine(certificate.issuer)}" did; put the certificates in order, each before its issuer`,
    );
  });
}

/**
 * @returns when the last root ends that the chain leads to. ztunnel takes a root as it is; OpenSSL, Go and we hold it to
 * what it says of itself (contract operations.md 4.4, 30).
 */
function checkAnchored({ folder, layout, chain, roots }: Material, now: EpochMs): EpochMs {
  const last = chain.at(-1)!;
  const anchors = roots.filter((root) => root.raw.equals(last.raw) || issued(root, last));
  const [first] = anchors;
  if (first === undefined)
    throw refusal(
      folder,
      layout.root,
      `no root in it issued ${nameOf(last)}; put its issuer "${oneLine(last.issuer)}" there`,
    );
  const alive = anchors.filter(({ raw }) => readCertificate(raw).notAfter > now);
  if (alive.length === 0)
    throw refusal(folder, layout.root, `the root ${nameOf(first)} has expired; put one that is valid there`);
  const below = (root: X509Certificate): number => chain.length - (root.raw.equals(last.raw) ? 1 : 0);
  const fit = alive.filter((root) => whyUnfit(root, below(root), now) === undefined);
  if (fit.length > 0) return Math.max(...fit.map(({ raw }) => readCertificate(raw).notAfter));
  throw refusal(folder, layout.root, whyUnfit(alive[0]!, below(alive[0]!), now)!);
}

/** Why a certificate cannot have so many authorities below it, now, and what to do. */
function whyUnfit(certificate: X509Certificate, below: number, now: EpochMs): string | undefined {
  const why = whyNoIssuer(certificate, below, now);
  return why && `${nameOf(certificate)} ${why}`;
}

function whyNoIssuer(certificate: X509Certificate, below: number, now: EpochMs): string | undefined {
  const fields = readCertificate(certificate.raw);
  const { ca, max } = pathLength(fields);
  if (!ca) return "is no certificate authority; put one with CA:TRUE there, not a leaf";
  if (max !== undefined && max < below)
    return `allows ${max} authorities below it, and ${below} follow; use one with a longer path`;
  const usage = fields.extensions.get(EXTENSION.keyUsage);
  const bits = usage && new DerReader(usage.value).next(TAG.bitString).content;
  if (bits !== undefined && (bits[1]! & 0x04) === 0)
    return "may not sign certificates; use one with the key usage keyCertSign";
  const uses = purposes(fields);
  if (uses !== undefined && !uses.includes(PURPOSE.any))
    if (!uses.includes(PURPOSE.serverAuth) || !uses.includes(PURPOSE.clientAuth))
      return "is not for servers and clients both, so peers refuse what it signs; use one that names no purpose";
  if (fields.notAfter <= now)
    return `expired at ${new Date(fields.notAfter).toISOString()}; put one that is valid there`;
  if (fields.notBefore > now) return `is valid only from ${new Date(fields.notBefore).toISOString()}; check the clock`;
  return undefined;
}

/** Signs a leaf and has OpenSSL verify it: better now than at the first handshake of every workload. */
function checkSigning({ folder, layout, chain }: Material, authority: Authority, now: EpochMs): void {
  const [own] = chain;
  try {
    const probe = checkTemplate({
      serial: Buffer.of(1),
      notBefore: now,
      notAfter: now + 1000,
      subject: EMPTY_NAME,
      publicKey: readCertificate(own!.raw).publicKey,
      purpose: "workload",
      names: { uris: ["spiffe://probe/ns/probe/sa/probe"] },
    });
    const leaf = signCertificate(probe, authority);
    if (!issued(own!, new X509Certificate(leaf))) throw new Error("what it signs does not verify");
  } catch (thrown) {
    throw refusal(folder, layout.key, `it cannot sign for workloads: ${messageOf(thrown)}`);
  }
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function subjectKeyId(value: Uint8Array | undefined): Uint8Array | undefined {
  return value && new DerReader(value).next(TAG.octetString).content;
}

/** Node has no name, whatever its types say, where one is empty. */
const oneLine = (name: string | undefined): string => (name ?? "").replace(/\n/g, ", ");
const nameOf = ({ subject }: X509Certificate): string => `"${oneLine(subject)}"`;

export function refusal(folder: string, name: string, why: string): MeshError {
  return new MeshError("invalid", `${join(folder, name)}: ${why}`);
}
